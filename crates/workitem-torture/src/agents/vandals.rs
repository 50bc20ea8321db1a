//! Agents that spoil the folders in which they and the store live.

use std::fs;
use std::path::Path;

use anyhow::Result;

use crate::checker::Moment;
use crate::stage::{DONE, NOTE, Stage, numbered};

pub fn folder(stage: &mut Stage) -> Result<()> {
    fs::create_dir(stage.place.file("folder"))?;
    let script = format!("cd ../; {NOTE}[ $WORKITEM_ID != 3 ] || rm -rf folder{DONE}");
    let map = ["map", "--job", "job", "--json", "-j", "1", "--cwd", "folder", "--", "sh", "-c", &script];
    let ended = stage.run("job", &map, &numbered(6), &[3])?;
    let told = ended.stderr.matches("there is no folder").count();
    stage.expect(told >= 3, || format!("three agents have no folder, and it was told {told} times"));
    stage.finished("job", 3, 3)?;
    // Once it is there again, so is the work.
    fs::create_dir(stage.place.file("folder"))?;
    stage.run("job", &["dlq", "retry", "job", "--json"], "", &[0])?;
    stage.finished("job", 6, 3)
}

pub fn output(stage: &mut Stage) -> Result<()> {
    let folder = ".workitem/workitem.db.output";
    let big = "head -c 100000 /dev/zero; echo";
    for (job, vandalism) in [
        ("removed", format!("rm -rf {folder}")),
        ("forbidden", format!("mkdir -p {folder}; chmod 000 {folder} .workitem")),
        ("replaced", format!("rm -rf {folder}; echo junk > {folder}")),
        ("linked", format!("rm -rf {folder}; ln -s /nowhere/at/all {folder}")),
    ] {
        let script =
            format!("{NOTE}[ $WORKITEM_ID != 1 ] || [ -e mended.{job} ] || {{ {vandalism}; }}{DONE}{big}");
        let map = ["map", "--job", job, "--json", "-j", "1", "--", "sh", "-c", &script];
        let ended = stage.run(job, &map, &numbered(4), &[0, 5])?;
        stage.expect(ended.code == 0 || ended.stderr.contains(".output"), || {
            format!("{job}: it stopped, and does not say at which folder: {}", ended.stderr)
        });
        stage.check(job, Moment::AtRest)?;
        stage.place.write(&format!("mended.{job}"), "")?;
        if !stage.place.file(folder).is_dir() {
            fs::remove_file(stage.place.file(folder)).ok();
        }
        stage.run(job, &["resume", job, "--json"], "", &[0])?;
        stage.finished(job, 4, 0)?;
        let kept = stage.run("", &["output", job], "", &[0])?.stdout.len();
        stage.expect(kept > 400_000, || format!("{job}: 400,000 bytes were printed, {kept} are kept"));
        stage.run("", &["gc", job], "", &[0])?;
    }
    Ok(())
}

pub fn litter(stage: &mut Stage) -> Result<()> {
    let agent = "d=.workitem; o=$d/workitem.db.output
        echo junk > $d/junk; echo junk > \"$d/workitem.db.$WORKITEM_ID\"; echo junk > $d/workitem.db.locks/junk
        mkdir -p $o/1/sub $o/99 $o/x; for f in 1/junk 1/sub/junk 99/7 x/y ..junk; do echo junk > $o/$f; done
        ln -sf /etc/passwd $o/1/link; head -c 50000 /dev/zero; echo";
    let script = format!("{NOTE}echo \"$WORKITEM_ID done\"; {agent}");
    let map = ["map", "--job", "job", "--json", "-j", "4", "--", "sh", "-c", &script];
    stage.run("job", &map, &numbered(stage.of(12, 100)), &[0])?;
    stage.finished("job", stage.of(12, 100), 0)?;
    stage.run("", &["gc"], "", &[0])?;
    stage.finished("job", stage.of(12, 100), 0)?;
    stage.run("", &["gc", "job"], "", &[0])?;
    let passwd = fs::metadata(Path::new("/etc/passwd"))?.len();
    stage.expect(passwd > 0, || "what a link led to is gone".to_owned());
    let left = stage.store().map(|_| ());
    stage.expect(left.is_ok(), || format!("the store cannot be opened: {left:?}"));
    Ok(())
}

pub fn table(stage: &mut Stage) -> Result<()> {
    let script = format!("{NOTE}sleep 0.3{DONE}");
    let map = ["map", "--job", "job", "--json", "-j", "64", "--", "sh", "-c", &script];
    let few = ["sh", "-c", "ulimit -n 60; exec \"$@\"", "sh"];
    let run = stage.start(&few, &map, &numbered(128), &[])?;
    let ended = stage.ends("job", run, &[5])?;
    stage.expect(ended.stderr.contains("open files"), || {
        format!("it does not say of what there is no more: {}", ended.stderr)
    });
    stage.check("job", Moment::AtRest)?;
    let [_, _, _, given_up] = stage.counts("job")?;
    stage
        .expect(given_up == 0, || format!("{given_up} items were given up for what is no failure of theirs"));
    stage.run("job", &["resume", "job", "--json"], "", &[0])?;
    stage.finished("job", 128, 0)
}
