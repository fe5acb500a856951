//! One EDN map for each event, each on a line: the shape in which Jepsen writes and other checkers read.
//!
//! Only what a history needs of EDN is known: maps, vectors, lists, sets, integers, words, strings, `nil`, `true`, `false`.
//! Words are keywords when written; keywords and strings are both read as words.

use std::io::{BufRead, Write};

use serde_json::{Map, Value};

use super::event::{self, NotAHistory};
use super::{History, Operation};

/// The deepest nesting that is read.
const DEPTH_MAX: usize = 16;

/// Writes a history as EDN.
pub fn write_edn(history: &[Operation], out: &mut impl Write) -> std::io::Result<()> {
    let mut line = String::new();
    for event in event::events(history) {
        line.clear();
        print(&event.to_json(), &mut line);
        writeln!(out, "{line}")?;
    }
    Ok(())
}

/// Reads a history back. Every event stands on a line of its own.
pub fn read_edn(text: impl BufRead) -> Result<History, NotAHistory> {
    let mut events = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line?;
        if line.trim().is_empty() {
            continue;
        }
        let form = parse(&line).map_err(|why| NotAHistory::Syntax { line: number + 1, why })?;
        events.push(event::Event::from_json(&form, number + 1)?);
    }
    event::history(&events)
}

fn print(value: &Value, out: &mut String) {
    match value {
        Value::Null => out.push_str("nil"),
        Value::String(word) if is_word(word) => {
            out.push(':');
            out.push_str(word);
        }
        Value::Array(items) => between(out, '[', ']', items, print),
        Value::Object(fields) => between(out, '{', '}', fields, |(name, value), out| {
            out.push(':');
            out.push_str(name);
            out.push(' ');
            print(value, out);
        }),
        // Numbers, truth values and free text look as in JSON.
        other => out.push_str(&other.to_string()),
    }
}

fn between<T>(
    out: &mut String,
    open: char,
    close: char,
    items: impl IntoIterator<Item = T>,
    print: impl Fn(T, &mut String),
) {
    out.push(open);
    for (number, item) in items.into_iter().enumerate() {
        if number > 0 {
            out.push(' ');
        }
        print(item, out);
    }
    out.push(close);
}

/// Whether a text can stand as a keyword.
fn is_word(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '-')
}

/// One form and nothing behind it.
fn parse(text: &str) -> Result<Value, String> {
    let mut rest = text;
    let form = form(&mut rest, 0)?;
    skip_blank(&mut rest);
    if rest.is_empty() { Ok(form) } else { Err(format!("'{}' is behind the form", shown(rest))) }
}

fn form(rest: &mut &str, depth: usize) -> Result<Value, String> {
    if depth > DEPTH_MAX {
        return Err(format!("nested deeper than {DEPTH_MAX}"));
    }
    skip_blank(rest);
    if let Some(inner) =
        rest.strip_prefix("#{").or_else(|| rest.strip_prefix('[')).or_else(|| rest.strip_prefix('('))
    {
        let close = match &rest[..1] {
            "#" => '}',
            "[" => ']',
            _ => ')',
        };
        *rest = inner;
        return items(rest, close, depth).map(Value::Array);
    }
    if let Some(inner) = rest.strip_prefix('{') {
        *rest = inner;
        return map(items(rest, '}', depth)?);
    }
    if rest.starts_with('"') {
        return string(rest);
    }
    atom(rest)
}

fn items(rest: &mut &str, close: char, depth: usize) -> Result<Vec<Value>, String> {
    let mut items = Vec::new();
    loop {
        skip_blank(rest);
        if let Some(behind) = rest.strip_prefix(close) {
            *rest = behind;
            return Ok(items);
        }
        if rest.is_empty() {
            return Err(format!("'{close}' is missing"));
        }
        items.push(form(rest, depth + 1)?);
    }
}

fn map(items: Vec<Value>) -> Result<Value, String> {
    if !items.len().is_multiple_of(2) {
        return Err("a map has a name without a value".to_owned());
    }
    let mut fields = Map::new();
    let mut items = items.into_iter();
    while let (Some(name), Some(value)) = (items.next(), items.next()) {
        let Value::String(name) = name else { return Err(format!("'{name}' is no name")) };
        fields.insert(name, value);
    }
    Ok(Value::Object(fields))
}

fn string(rest: &mut &str) -> Result<Value, String> {
    // What EDN escapes in a string, JSON escapes in the same way.
    let mut stream = serde_json::Deserializer::from_str(rest).into_iter::<Value>();
    match stream.next() {
        Some(Ok(value)) => {
            *rest = &rest[stream.byte_offset()..];
            Ok(value)
        }
        _ => Err(format!("'{}' is no string", shown(rest))),
    }
}

fn atom(rest: &mut &str) -> Result<Value, String> {
    let end = rest
        .find(|letter: char| letter.is_whitespace() || ",[](){}\"".contains(letter))
        .unwrap_or(rest.len());
    let (atom, behind) = rest.split_at(end);
    let value = match atom {
        "nil" => Value::Null,
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        _ => match atom.strip_prefix(':') {
            Some(word) if !word.is_empty() => Value::String(word.to_owned()),
            _ => number(atom).ok_or_else(|| format!("'{}' is nothing that a history holds", shown(rest)))?,
        },
    };
    *rest = behind;
    Ok(value)
}

fn number(atom: &str) -> Option<Value> {
    atom.parse::<u64>().map(Value::from).or_else(|_| atom.parse::<i64>().map(Value::from)).ok()
}

fn skip_blank(rest: &mut &str) {
    *rest = rest.trim_start_matches(|letter: char| letter.is_whitespace() || letter == ',');
}

/// The beginning of a text, for a message.
fn shown(text: &str) -> String {
    text.chars().take(40).collect()
}
