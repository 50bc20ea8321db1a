//! Values of options as people write them. Durations have a file of their own.

use std::net::{Ipv4Addr, SocketAddr};
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::time::Duration;

use workitem_orchestrator::Rate;
use workitem_types::StatusKind;

use crate::durations::duration;

/// More threads than this are a slip of the finger.
pub fn parallelism(text: &str) -> Result<NonZeroUsize, String> {
    let jobs = text.parse::<NonZeroUsize>().map_err(|error| error.to_string())?;
    if jobs.get() <= 4_096 { Ok(jobs) } else { Err("is more than 4096".to_owned()) }
}

/// A share of all, as `20%`; from 0 to 1.
pub fn share(text: &str) -> Result<f64, String> {
    let percent = text.strip_suffix('%').and_then(|percent| percent.trim().parse::<f64>().ok());
    match percent {
        Some(percent) if (0.0..=100.0).contains(&percent) => Ok(percent / 100.0),
        _ => Err("is no share such as 20%".to_owned()),
    }
}

pub fn job_name(name: &str) -> Result<String, String> {
    match name {
        "" => Err("is empty".to_owned()),
        _ if name.len() > 200 => Err("is longer than 200 bytes".to_owned()),
        _ if name.starts_with('-') => Err("begins with a dash".to_owned()),
        _ if name.chars().any(char::is_control) => Err("has a control character".to_owned()),
        _ => Ok(name.to_owned()),
    }
}

/// `in_progress`, `InProgress` and `in-progress` are the same state.
pub fn state(text: &str) -> Result<StatusKind, String> {
    let plain = |text: &str| text.replace(['_', '-'], "").to_lowercase();
    let found = StatusKind::ALL.into_iter().find(|kind| plain(kind.name()) == plain(text));
    found.ok_or_else(|| "is one of pending, in_progress, completed, failed, dead_lettered".to_owned())
}

/// Bytes: `512`, `512K`, `10M`, `1G`; each unit is 1024 of the one before.
pub fn size(text: &str) -> Result<u64, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let shift = match unit {
        "" => Some(0),
        "K" | "k" => Some(10),
        "M" | "m" => Some(20),
        "G" | "g" => Some(30),
        _ => None,
    };
    let bytes = number.parse::<u64>().ok().zip(shift).and_then(|(n, shift)| n.checked_mul(1 << shift));
    bytes.ok_or_else(|| "is no size such as 512K, 10M or 1G".to_owned())
}

/// A folder that is there, by the path that it has from everywhere.
pub fn folder(text: &str) -> Result<PathBuf, String> {
    let folder = Path::new(text).canonicalize().map_err(|error| error.to_string())?;
    if folder.is_dir() { Ok(folder) } else { Err("it is not a folder".to_owned()) }
}

/// Where to listen: `9187` on this machine only, or `0.0.0.0:9187`.
pub fn listening(text: &str) -> Result<SocketAddr, String> {
    let port = text.parse::<u16>().map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    port.or_else(|_| text.parse())
        .map_err(|_| "is neither a port nor an address such as 0.0.0.0:9187".to_owned())
}

/// How long a lease lasts. A shorter one than a second would end while its holder is at work.
pub fn lease(text: &str) -> Result<Duration, String> {
    let lease = duration(text)?;
    if lease < Duration::from_secs(1) || lease > Duration::from_hours(24) {
        return Err("is not between 1s and 24h".to_owned());
    }
    Ok(lease)
}

/// A pause between two starts, as the rate that it is.
pub fn delay(text: &str) -> Result<Rate, String> {
    let most = Duration::from_hours(24);
    let delay = duration(text)?;
    if delay < Duration::from_millis(1) || delay > most {
        return Err("is not between 1ms and 24h".to_owned());
    }
    // A rate is kept as it is written, and that is in whole milliseconds: rather longer than too short.
    let millis = u64::try_from(delay.as_nanos().div_ceil(1_000_000)).map_err(|error| error.to_string())?;
    Ok(Rate::new(NonZeroU32::MIN, Duration::from_millis(millis)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_percentages() {
        assert_eq!(
            [share("20%"), share("0%"), share("12.5 %"), share("100%")],
            [0.2, 0.0, 0.125, 1.0].map(Ok)
        );
        for text in ["", "%", "20", "0.2", "-1%", "101%", "NaN%", "many%"] {
            assert!(share(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_are_bytes_with_or_without_a_unit() {
        let sizes = ["0", "100", "512K", "10M", "1g"].map(size);
        assert_eq!(sizes, [0, 100, 512 << 10, 10 << 20, 1 << 30].map(Ok));
        for text in ["", "K", "-1", "1.5M", "10MB", "1 M", "1T", "99999999999999999999", "99999999999G"] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_port_alone_is_one_of_this_machine() {
        let address = |text: &str| listening(text).map(|address| address.to_string());
        assert_eq!(address("9187"), Ok("127.0.0.1:9187".to_owned()));
        assert_eq!(address("0.0.0.0:80"), Ok("0.0.0.0:80".to_owned()));
        assert_eq!(address("[::1]:80"), Ok("[::1]:80".to_owned()));
        for text in ["", "host:80", "70000", "-1", "1.2.3.4"] {
            assert!(address(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_lease_outlasts_a_moment() {
        assert_eq!(lease("1s"), Ok(Duration::from_secs(1)));
        assert_eq!(lease("24h"), Ok(Duration::from_hours(24)));
        assert!(lease("999ms").is_err() && lease("25h").is_err() && lease("").is_err());
    }

    #[test]
    fn a_delay_is_a_rate_that_survives_being_written_down() {
        for (text, rate) in [
            ("250ms", "1/250ms"),
            ("1", "1/s"),
            ("1.5s", "1/1500ms"),
            ("1500us", "1/2ms"),
            ("23h 59m", "1/1439m"),
        ] {
            let delay = delay(text).unwrap();
            assert_eq!(delay.to_string(), rate);
            assert_eq!(rate.parse(), Ok(delay));
        }
        for text in ["", "0", "100us", "25h", "soon", "-1s"] {
            assert!(delay(text).is_err(), "{text}");
        }
    }
}
