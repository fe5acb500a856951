//! One JSON object for each event, each on a line.

use std::io::{BufRead, Write};

use super::event::{self, Event, NotAHistory};
use super::{History, Operation};

/// Writes a history as JSON Lines.
pub fn write_json_lines(history: &[Operation], out: &mut impl Write) -> std::io::Result<()> {
    event::events(history).iter().try_for_each(|event| writeln!(out, "{}", event.to_json()))
}

/// Reads a history back.
pub fn read_json_lines(text: impl BufRead) -> Result<History, NotAHistory> {
    let mut events: Vec<Event> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line?;
        if line.trim().is_empty() {
            continue;
        }
        let map = serde_json::from_str(&line)
            .map_err(|error| NotAHistory::Syntax { line: number + 1, why: error.to_string() })?;
        events.push(Event::from_json(&map, number + 1)?);
    }
    event::history(&events)
}
