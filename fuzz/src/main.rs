//! Bytes that look for a way in: libFuzzer changes what it has, keeps what reaches code that nothing has reached yet, and
//! stops at whatever panics, hangs or takes too much memory. `WORKITEM_DOOR` says at which door.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use workitem_cli::doors::DOORS;
use workitem_torture::rows;

static DOOR: LazyLock<fn(&[u8])> = LazyLock::new(|| {
    let wanted = std::env::var("WORKITEM_DOOR").expect("WORKITEM_DOOR names a door");
    if wanted == rows::DOOR {
        return rows::read;
    }
    let door = DOORS.into_iter().find(|(name, _)| *name == wanted);
    door.unwrap_or_else(|| panic!("there is no door `{wanted}`")).1
});

fuzz_target!(|bytes: &[u8]| DOOR(bytes));
