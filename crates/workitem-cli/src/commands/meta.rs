//! About the machine and the program itself.

use std::io::Write;

use clap::CommandFactory;
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
    written(std::io::stdout().write_all(&script))?;
    Ok(Exit::Ok)
}

pub fn man() -> Result<Exit, Error> {
    let mut page = Vec::new();
    clap_mangen::Man::new(Cli::command()).render(&mut page).map_err(|error| Error::output(&error))?;
    written(std::io::stdout().write_all(&page))?;
    Ok(Exit::Ok)
}
