//! Moments as S3 writes them, from and to Unix milliseconds.

use s3s::dto::{Timestamp, TimestampFormat};
use std::time::{Duration, UNIX_EPOCH};

/// Unix milliseconds of a moment; 0 before 1970.
pub fn unix_ms(moment: &Timestamp) -> u64 {
    let mut text = Vec::new();
    if moment.format(TimestampFormat::DateTime, &mut text).is_err() {
        return 0;
    }
    // The date and time of day are fixed columns of that form: `2026-01-31T12:34:56.789Z`.
    let number = |range: std::ops::Range<usize>| {
        text.get(range)
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| digits.parse::<i64>().ok())
    };
    let fields = [0..4, 5..7, 8..10, 11..13, 14..16, 17..19, 20..23].map(number);
    let [Some(year), Some(month), Some(day), Some(hour), Some(minute), Some(second), Some(milli)] = fields else {
        return 0;
    };
    let ms = (((days(year, month, day) * 24 + hour) * 60 + minute) * 60 + second) * 1000 + milli;
    u64::try_from(ms).unwrap_or(0)
}

/// The moment of Unix milliseconds.
pub fn moment(unix_ms: u64) -> Timestamp {
    // Past the year 9999 there is no text form; nothing stored here is that late.
    const LATEST_MS: u64 = 253_402_300_799_999;
    Timestamp::from(UNIX_EPOCH + Duration::from_millis(unix_ms.min(LATEST_MS)))
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`.
pub fn http_date(unix_ms: u64) -> String {
    let mut text = Vec::new();
    match moment(unix_ms).format(TimestampFormat::HttpDate, &mut text) {
        Ok(()) => String::from_utf8(text).unwrap_or_default(),
        Err(_) => String::new(),
    }
}

/// Days from 1970-01-01 of a date of the Gregorian calendar (Hinnant, `days_from_civil`).
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year - era * 400;
    let of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        for ms in [0, 1, 951_782_399_999, 951_782_400_000, 1_709_164_800_000, 1_798_761_599_123, 4_102_444_800_000] {
            assert_eq!(unix_ms(&moment(ms)), ms);
        }
        assert_eq!(http_date(784_111_777_000), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(unix_ms(&moment(u64::MAX)), 253_402_300_799_999);
    }
}
