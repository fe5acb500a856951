//! A client of the Redis protocol that waits no longer than it is told to.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// The longest part of a reply that is taken, in bytes.
const PART_BYTES_MAX: usize = 64 << 20;
/// The most parts of a reply.
const PARTS_MAX: usize = 1 << 20;

/// A reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Word(String),
    Number(i64),
    Bulk(String),
    Nil,
    Array(Vec<Answer>),
    Error(String),
}

/// A connection to a node.
pub(crate) struct Connection {
    stream: BufReader<TcpStream>,
}

impl Connection {
    pub(crate) fn open(address: SocketAddr, patience: Duration) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, patience.min(Duration::from_millis(500)))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(patience))?;
        stream.set_write_timeout(Some(patience))?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    /// Asks and waits for the answer. After an error the connection is of no use any more.
    pub(crate) fn call(&mut self, words: &[String]) -> io::Result<Answer> {
        let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
        for word in words {
            bytes.extend_from_slice(format!("${}\r\n{word}\r\n", word.len()).as_bytes());
        }
        self.stream.get_mut().write_all(&bytes)?;
        self.answer()
    }

    fn answer(&mut self) -> io::Result<Answer> {
        let wrong = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let line = line.strip_suffix("\r\n").ok_or_else(|| wrong("a line without an end"))?;
        let (kind, text) = line.split_at_checked(1).ok_or_else(|| wrong("an empty line"))?;
        let number = || text.parse::<i64>().map_err(|_| wrong("no number"));
        Ok(match kind {
            "+" => Answer::Word(text.to_owned()),
            "-" => Answer::Error(text.to_owned()),
            ":" => Answer::Number(number()?),
            "$" => match usize::try_from(number()?) {
                Err(_) => Answer::Nil,
                Ok(length) if length > PART_BYTES_MAX => return Err(wrong("too long")),
                Ok(length) => {
                    let mut bytes = vec![0; length + 2];
                    self.stream.read_exact(&mut bytes)?;
                    bytes.truncate(length);
                    Answer::Bulk(String::from_utf8(bytes).map_err(|_| wrong("no text"))?)
                }
            },
            "*" => match usize::try_from(number()?) {
                Err(_) => Answer::Nil,
                Ok(count) if count > PARTS_MAX => return Err(wrong("too many parts")),
                Ok(count) => Answer::Array((0..count).map(|_| self.answer()).collect::<io::Result<_>>()?),
            },
            _ => return Err(wrong("no kind of reply")),
        })
    }
}
