//! Which scenarios the threads world can play.
//!
//! Contract: what changes the fate of frames and cannot be done here is refused; what only says how long work
//! takes in virtual time is left out, as work takes its own time here.

use crate::scenario::Scenario;

/// A scenario asks for what the threads world has not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {what} only in the embedded world; leave it out, or run without --world threads")]
pub struct Unfit {
    /// Key of the scenario.
    pub key: String,
    /// What it asks for.
    pub what: &'static str,
}

/// Whether the threads world can play `scenario`.
///
/// # Errors
/// The first key that it cannot honour.
pub fn check(scenario: &Scenario) -> Result<(), Unfit> {
    let handles = scenario.handle.iter().enumerate();
    let of_handles = handles.flat_map(|(index, handle)| {
        let key = move |name: &str| format!("handle.{index}.{name}");
        [
            (!handle.control.is_empty(), key("control"), "programs change their handles"),
            (!handle.send.is_empty(), key("send"), "programs send frames"),
            (handle.reader.write, key("reader.write"), "readers write files"),
        ]
    });
    let of_all = [
        (!scenario.fault.is_empty(), "fault".to_owned(), "faults are injected"),
        (
            !scenario.driver.control.is_empty(),
            "driver.control".into(),
            "the driver is reconfigured while it runs",
        ),
        (scenario.run.detach_at.is_some(), "run.detach_at".into(), "the adapter is removed"),
        (
            scenario.rx_filter != crate::scenario::RxFilter::default(),
            "rx_filter".into(),
            "receive filters, which are set by the control queue, work",
        ),
    ];
    let asked = of_all.into_iter().chain(of_handles).find(|(asked, ..)| *asked);
    asked.map_or(Ok(()), |(_, key, what)| Err(Unfit { key, what }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_done_is_refused_by_its_key() {
        let refused = |text: &str| {
            let scenario = Scenario::parse(text, "test.toml", &[]).unwrap();
            check(&scenario).err().map(|unfit| unfit.key)
        };
        assert_eq!(refused(""), None);
        assert_eq!(
            refused("[[fault]]\nkind = 'link_flap'\nat = '1ms'\nfor = '1ms'\n"),
            Some("fault".into())
        );
        let control = "[[handle]]\n[[handle]]\n[[handle.control]]\nat = '1ms'\nclose = true\n";
        assert_eq!(refused(control), Some("handle.1.control".into()));
    }
}
