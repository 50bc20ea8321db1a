//! Hostile agents, and hostile items: whatever they do, the run ends in time, what was acknowledged is there, memory and
//! disk are bounded, and nothing is left behind.

mod ends;
mod floods;
mod names;
mod vandals;

use anyhow::Result;

use crate::Report;
use crate::stage::{self, Options, Scene};

const WHAT: &str = "Each scene has a store of its own. After each the checker looks, and no process may be left that carries \
                    the mark of the scene or works in its folder. What takes more than two minutes counts as hanging.";

const SCENES: &[Scene] = &[
    Scene {
        name: "flee",
        what: "agents whose time is up have children in sessions and groups of their own, orphaned, without environment",
        play: ends::flee,
    },
    Scene {
        name: "deaf",
        what: "agents and their children hear no SIGTERM; one run's time is up, another gets Ctrl-C",
        play: ends::deaf,
    },
    Scene {
        name: "hold",
        what: "agents exit while children, in their group and out of it, hold their pipes",
        play: ends::hold,
    },
    Scene { name: "close", what: "agents close their pipes and go on", play: ends::close },
    Scene {
        name: "shoot",
        what: "agents kill their own group; send INT, TERM, HUP, QUIT and KILL to the orchestrator's group",
        play: ends::shoot,
    },
    Scene {
        name: "flood",
        what: "agents write without end, against a limit and against the default one",
        play: floods::flood,
    },
    Scene {
        name: "babble",
        what: "agents print all bytes there are, invalid UTF-8, lines of megabytes; succeed with it and fail with it",
        play: floods::babble,
    },
    Scene { name: "crowd", what: "tiny items, all at once, `-j 64`", play: floods::crowd },
    Scene { name: "folder", what: "agents remove the folder that they work in", play: vandals::folder },
    Scene {
        name: "output",
        what: "agents remove the store's folder of output, forbid it, put a file in its place, and then print much",
        play: vandals::output,
    },
    Scene {
        name: "litter",
        what: "agents write into the folder of the store, beside its file and among its output",
        play: vandals::litter,
    },
    Scene {
        name: "table",
        what: "`-j 64` with room for few open files; then with room",
        play: vandals::table,
    },
    Scene {
        name: "names",
        what: "ids that look like paths, options, placeholders; 512 bytes, emoji; ids that cannot be",
        play: names::ids,
    },
    Scene {
        name: "payloads",
        what: "items with NUL, of 4 MiB, of nothing, and such that a shell would run",
        play: names::payloads,
    },
    Scene {
        name: "modes",
        what: "whatever is made under `umask 000` is for its owner only",
        play: names::modes,
    },
];

/// Plays all scenes.
///
/// # Errors
///
/// If something cannot be started or looked at. What is found is no error but a part of the report.
pub fn run(options: &Options) -> Result<Report> {
    stage::run("agents", WHAT, SCENES, options)
}
