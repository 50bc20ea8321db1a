//! About the machine and the program itself.

use std::io::{self, Write};

use clap::CommandFactory;
use clap_mangen::Man;
use workitem_table::{to_dot, to_json, to_mermaid, to_table};

use super::{print_line, written};
use crate::args::{Cli, MachineFormat};
use crate::error::Error;
use crate::exit::Exit;

pub fn machine(format: MachineFormat) -> Result<Exit, Error> {
    let text = match format {
        MachineFormat::Table => to_table(),
        MachineFormat::Mermaid => to_mermaid(),
        MachineFormat::Dot => to_dot(),
        MachineFormat::Json => to_json(),
    };
    print_line(text.trim_end())?;
    Ok(Exit::Ok)
}

pub fn completions(shell: clap_complete::Shell) -> Result<Exit, Error> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "workitem", &mut script);
    written(io::stdout().write_all(&script))?;
    Ok(Exit::Ok)
}

pub fn man() -> Result<Exit, Error> {
    let mut page = Vec::new();
    let mut command = Cli::command();
    command.build();
    let rendered = Man::new(command.clone()).render(&mut page);
    written(rendered.and_then(|()| man_commands(&command, "workitem", &mut page)))?;
    written(io::stdout().write_all(&page))?;
    Ok(Exit::Ok)
}

/// A section for each command, with what would be sections of a page of its own.
fn man_commands(command: &clap::Command, path: &str, page: &mut Vec<u8>) -> io::Result<()> {
    for command in command.get_subcommands().filter(|command| command.get_name() != "help") {
        let path = format!("{path} {}", command.get_name());
        if command.has_subcommands() {
            man_commands(command, &path, page)?;
            continue;
        }
        let (man, mut sections) = (Man::new(command.clone()), Vec::new());
        man.render_synopsis_section(&mut sections)?;
        man.render_description_section(&mut sections)?;
        man.render_options_section(&mut sections)?;
        if command.get_after_help().is_some() {
            man.render_extra_section(&mut sections)?;
        }
        writeln!(page, ".SH {path}")?;
        page.extend(String::from_utf8_lossy(&sections).replace(".SH ", ".SS ").into_bytes());
    }
    Ok(())
}
