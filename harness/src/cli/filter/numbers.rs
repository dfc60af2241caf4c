//! Bytes and numbers as a user gives them on the command line.
//!
//! Contract: an error says what stands where, in one line.

use npf_core::filter::{Ancillary, PacketType};

/// Bytes from hexadecimal digits; white space, colons, dots and dashes between bytes are passed over.
pub(super) fn hex(text: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::with_capacity(text.len() / 2);
    let mut high = None;
    for (at, character) in text.char_indices() {
        let between = character.is_whitespace() || ":.-".contains(character);
        match (character.to_digit(16), high) {
            (Some(digit), None) => high = Some(digit),
            (Some(digit), Some(first)) => {
                bytes.push((first << 4 | digit) as u8);
                high = None;
            }
            (None, None) if between => {}
            (None, _) => {
                return Err(format!(
                    "'{character}' at character {at} is no hexadecimal digit of a byte"
                ));
            }
        }
    }
    match high {
        None => Ok(bytes),
        Some(_) => Err("the last byte has one digit; give two for each byte".to_owned()),
    }
}

/// A number up to `max`: decimal, or hexadecimal after 0x.
pub(super) fn number(text: &str, max: u64) -> Result<u64, String> {
    let parsed = match text.strip_prefix("0x").or(text.strip_prefix("0X")) {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => text.parse(),
    };
    match parsed {
        Ok(number) if number <= max => Ok(number),
        _ => Err(format!("'{text}' is no number from 0 to {max}")),
    }
}

/// Sets what `NAME=NUMBER` says.
pub(super) fn set_ancillary(ancillary: &mut Ancillary, setting: &str) -> Result<(), String> {
    let (name, text) = setting
        .split_once('=')
        .ok_or_else(|| format!("'{setting}' is no setting; give NAME=NUMBER"))?;
    let wide = || number(text, u32::MAX.into()).map(|number| number as u32);
    let narrow = || number(text, u16::MAX.into()).map(|number| number as u16);
    match name {
        "proto" => ancillary.protocol = narrow()?,
        "type" => ancillary.packet_type = packet_type(text)?,
        "ifidx" => ancillary.interface_index = wide()?,
        "mark" => ancillary.mark = wide()?,
        "queue" => ancillary.queue = narrow()?,
        "hatype" => ancillary.hardware_type = narrow()?,
        "rxhash" => ancillary.hash = wide()?,
        "cpu" => ancillary.cpu = wide()?,
        "vlan_tci" => ancillary.vlan_tci = Some(narrow()?),
        "vlan_tpid" => ancillary.vlan_tpid = narrow()?,
        "poff" => ancillary.payload_offset = wide()?,
        "random" => ancillary.random = wide()?,
        "network" => ancillary.network_offset = wide()?,
        _ => return Err(format!("nothing is known as '{name}'; --help lists the names")),
    }
    Ok(())
}

fn packet_type(text: &str) -> Result<PacketType, String> {
    Ok(match number(text, 4)? {
        0 => PacketType::Host,
        1 => PacketType::Broadcast,
        2 => PacketType::Multicast,
        3 => PacketType::OtherHost,
        _ => PacketType::Outgoing,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_digits_are_bytes() {
        assert_eq!(hex("00 fF:0a-1b"), Ok(vec![0, 255, 10, 27]));
        assert_eq!(hex(""), Ok(vec![]));
        assert!(hex("0").unwrap_err().contains("one digit"));
        assert!(hex("00 0g").unwrap_err().contains("'g' at character 4"));
        assert!(hex("0 0").unwrap_err().contains("' ' at character 1"));
    }

    #[test]
    fn settings_have_their_ranges() {
        let mut ancillary = Ancillary::NONE;
        for setting in ["proto=0x86dd", "type=4", "mark=4294967295", "vlan_tci=0", "network=0"] {
            set_ancillary(&mut ancillary, setting).unwrap();
        }
        assert_eq!((ancillary.protocol, ancillary.mark), (0x86dd, u32::MAX));
        assert_eq!((ancillary.packet_type, ancillary.vlan_tci), (PacketType::Outgoing, Some(0)));
        for setting in ["proto", "proto=", "proto=65536", "type=5", "mark=-1", "name=1", "cpu=0x"] {
            assert!(set_ancillary(&mut ancillary, setting).is_err(), "{setting}");
        }
    }
}
