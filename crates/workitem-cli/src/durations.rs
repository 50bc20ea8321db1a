//! Durations as people write them.

use std::time::Duration;

use workitem_orchestrator::Backoff;

/// `500ms`, `10s`, `1h 30m`; a bare number is seconds.
pub fn duration(text: &str) -> Result<Duration, String> {
    match text.parse::<f64>() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string()),
        Err(_) => humantime::parse_duration(text).map_err(|error| error.to_string()),
    }
    .map_err(|why| format!("is no duration such as 30s or 1h 30m: {why}"))
}

/// Like [`duration`], but not zero.
pub fn positive(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        Duration::ZERO => Err("must be more than zero".to_owned()),
        duration => Ok(duration),
    }
}

/// `DUR` or `DUR..MAX`.
pub fn backoff(text: &str) -> Result<Backoff, String> {
    let Some((base, max)) = text.split_once("..") else { return Ok(Backoff::new(duration(text)?)) };
    let (base, max) = (duration(base)?, duration(max)?);
    if max < base {
        return Err(format!("the limit {max:?} is shorter than the first wait {base:?}"));
    }
    Ok(Backoff { base, max })
}

/// A duration in one or two units: `850ms`, `12s`, `3m 20s`.
pub fn short(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0 => format!("{}ms", duration.as_millis()),
        1..60 => format!("{:.1}s", duration.as_secs_f64()),
        60..3_600 => format!("{}m {}s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{}h {}m", seconds / 3_600, seconds % 3_600 / 60),
        _ => format!("{}d {}h", seconds / 86_400, seconds % 86_400 / 3_600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_with_and_without_a_unit() {
        assert_eq!(duration("1.5"), Ok(Duration::from_millis(1_500)));
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("1h 30m"), Ok(Duration::from_mins(90)));
        for bad in ["", "-1", "soon", "1e99", "NaN", "inf"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
        assert!(positive("0s").is_err());
    }

    #[test]
    fn a_backoff_has_a_first_wait_and_a_limit() {
        let limited = Backoff { base: Duration::from_secs(1), max: Duration::from_mins(1) };
        assert_eq!(backoff("1s..1m"), Ok(limited));
        assert_eq!(backoff("2s"), Ok(Backoff::new(Duration::from_secs(2))));
        for bad in ["", "..", "1s..", "..1s", "1m..1s"] {
            assert!(backoff(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn durations_are_shown_in_one_or_two_units() {
        let shown = [850, 12_340, 200_000, 5_400_000, 90_000_000].map(|ms| short(Duration::from_millis(ms)));
        assert_eq!(shown, ["850ms", "12.3s", "3m 20s", "1h 30m", "1d 1h"]);
    }
}
