//! `/proc/interrupts`, taken apart.

use protocol::{Interrupt, Reply};

use super::serve::Refusal;

const FILE: &str = "/proc/interrupts";

/// Every line that has a count for each CPU.
///
/// # Errors
/// The file cannot be read.
pub fn read() -> Result<Reply, Refusal> {
    let text = std::fs::read_to_string(FILE).map_err(Refusal::system(FILE))?;
    Ok(Reply::Interrupts(parse(&text)))
}

fn parse(text: &str) -> Vec<Interrupt> {
    let mut lines = text.lines();
    let cpus = lines.next().map_or(0, |heads| heads.split_whitespace().count());
    let line = |line: &str| {
        let mut words = line.split_whitespace();
        words.next()?;
        let by_cpu: Vec<u64> =
            words.by_ref().take(cpus).map_while(|word| word.parse().ok()).collect();
        let name = words.last()?.to_owned();
        (by_cpu.len() == cpus).then_some(Interrupt { name, by_cpu })
    };
    lines.filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_become_counts_by_cpu() {
        let text = "           CPU0       CPU1       \n  \
            4:       1193          0   IO-APIC   4-edge      ttyS0\n \
            25:          3         17   PCI-MSI 49153-edge      virtio0-input.0\n\
            ERR:          0\n";
        let of =
            |name: &str, by_cpu: [u64; 2]| Interrupt { name: name.into(), by_cpu: by_cpu.into() };
        assert_eq!(parse(text), [of("ttyS0", [1193, 0]), of("virtio0-input.0", [3, 17])]);
        assert_eq!(parse(""), []);
    }
}
