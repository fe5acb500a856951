//! One client's connection: SET, GET and, for Redis, WAIT.

use std::fmt;
use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Bytes of a bulk string that are accepted: 64 MiB.
const BULK_BYTES_MAX: usize = 64 << 20;
/// Bytes of a line that are accepted.
const LINE_BYTES_MAX: usize = 64 << 10;

/// Why an operation did not succeed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// `-NOTLEADER`: nothing happened, another node will do it.
    NotLeader,
    /// `-UNAVAILABLE`: nothing happened, and nothing will.
    Unavailable,
    /// `-UNKNOWN`: it may have happened, or yet happen.
    Unknown,
    /// Another error, as the store put it.
    Other(String),
    /// The connection broke, or the answer took too long; a write may have happened.
    Broken(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::NotLeader => f.write_str("not the leader"),
            Failure::Unavailable => f.write_str("unavailable"),
            Failure::Unknown => f.write_str("outcome unknown"),
            Failure::Other(said) => write!(f, "the store said: {said}"),
            Failure::Broken(why) => write!(f, "connection: {why}"),
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Failure::Broken(error.to_string())
    }
}

/// An answer without its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// `+...`
    Simple,
    /// `:...`
    Integer(i64),
    /// `$...`, with its length.
    Bulk(usize),
    /// `$-1`
    Nil,
}

/// One operation at a time, over one TCP connection.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    output: Vec<u8>,
    input: Vec<u8>,
    /// Bytes at the front of `input` that are done with.
    used: usize,
}

impl Connection {
    /// Connects to `address`.
    pub async fn open(address: &str) -> Result<Connection, Failure> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        // A connection to a free local port can meet itself (both ends open at once); it would echo commands.
        if stream.local_addr()? == stream.peer_addr()? {
            return Err(Failure::Broken("nobody listens".to_owned()));
        }
        Ok(Connection { stream, output: Vec::with_capacity(512), input: Vec::with_capacity(4096), used: 0 })
    }

    /// Writes `value` under `key`; with `wait_replicas`, asks for that many replicas to have it.
    pub async fn put(&mut self, key: &[u8], value: &[u8], wait_replicas: u32) -> Result<(), Failure> {
        push_command(&mut self.output, &[b"SET", key, value]);
        if wait_replicas > 0 {
            push_command(&mut self.output, &[b"WAIT", wait_replicas.to_string().as_bytes(), b"1000"]);
        }
        self.send().await?;
        let answer = self.answer().await?;
        if wait_replicas > 0 {
            match self.answer().await? {
                Answer::Integer(reached) if reached >= i64::from(wait_replicas) => {}
                Answer::Integer(reached) => {
                    return Err(Failure::Other(format!("WAIT reached {reached} replicas")));
                }
                odd => return Err(Failure::Other(format!("odd answer to WAIT: {odd:?}"))),
            }
        }
        match answer {
            Answer::Simple => Ok(()),
            odd => Err(Failure::Other(format!("odd answer to SET: {odd:?}"))),
        }
    }

    /// Reads `key`: the length of its value, or `None` when there is none.
    pub async fn get(&mut self, key: &[u8]) -> Result<Option<usize>, Failure> {
        push_command(&mut self.output, &[b"GET", key]);
        self.send().await?;
        match self.answer().await? {
            Answer::Bulk(bytes) => Ok(Some(bytes)),
            Answer::Nil => Ok(None),
            odd => Err(Failure::Other(format!("odd answer to GET: {odd:?}"))),
        }
    }

    /// Sends any other command and returns its answer.
    pub async fn command(&mut self, arguments: &[&[u8]]) -> Result<Answer, Failure> {
        push_command(&mut self.output, arguments);
        self.send().await?;
        self.answer().await
    }

    async fn send(&mut self) -> Result<(), Failure> {
        self.stream.write_all(&self.output).await?;
        self.output.clear();
        Ok(())
    }

    async fn answer(&mut self) -> Result<Answer, Failure> {
        loop {
            if let Some((answer, bytes)) = parse(&self.input[self.used..]) {
                self.used += bytes;
                if self.used == self.input.len() {
                    self.input.clear();
                    self.used = 0;
                }
                return answer;
            }
            if self.stream.read_buf(&mut self.input).await? == 0 {
                return Err(Failure::Broken("closed by the store".to_owned()));
            }
        }
    }
}

fn push_command(output: &mut Vec<u8>, arguments: &[&[u8]]) {
    push_length(output, b'*', arguments.len());
    for argument in arguments {
        push_length(output, b'$', argument.len());
        output.extend_from_slice(argument);
        output.extend_from_slice(b"\r\n");
    }
}

fn push_length(output: &mut Vec<u8>, kind: u8, mut length: usize) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (length % 10) as u8;
        length /= 10;
        if length == 0 {
            break;
        }
    }
    output.push(kind);
    output.extend_from_slice(&digits[at..]);
    output.extend_from_slice(b"\r\n");
}

/// One whole answer at the front of `input` and its length, or `None` when it has not all arrived.
fn parse(input: &[u8]) -> Option<(Result<Answer, Failure>, usize)> {
    let malformed = |what: String| Some((Err(Failure::Broken(what)), input.len()));
    let Some(end) = input.iter().take(LINE_BYTES_MAX).position(|&byte| byte == b'\n') else {
        return if input.len() < LINE_BYTES_MAX {
            None
        } else {
            malformed("a line without an end".to_owned())
        };
    };
    let line = &input[..end];
    let text = String::from_utf8_lossy(line.get(1..).unwrap_or_default());
    let text = text.trim_end();
    let used = end + 1;
    match line.first() {
        Some(b'+') => Some((Ok(Answer::Simple), used)),
        Some(b'-') => Some((Err(failure(text)), used)),
        Some(b':') => match text.parse() {
            Ok(number) => Some((Ok(Answer::Integer(number)), used)),
            Err(_) => malformed(format!("`{text}` is not an integer")),
        },
        Some(b'$') if text == "-1" => Some((Ok(Answer::Nil), used)),
        Some(b'$') => match text.parse::<usize>() {
            Ok(bytes) if bytes <= BULK_BYTES_MAX => {
                let whole = used + bytes + 2;
                (input.len() >= whole).then_some((Ok(Answer::Bulk(bytes)), whole))
            }
            _ => malformed(format!("a value of `{text}` bytes")),
        },
        _ => malformed("an answer of an unknown kind".to_owned()),
    }
}

fn failure(text: &str) -> Failure {
    match text.split(' ').next().unwrap_or_default() {
        "NOTLEADER" => Failure::NotLeader,
        "UNAVAILABLE" => Failure::Unavailable,
        "UNKNOWN" => Failure::Unknown,
        _ => Failure::Other(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_cut_where_they_end() {
        assert_eq!(parse(b"+OK\r\n+OK\r\n"), Some((Ok(Answer::Simple), 5)));
        assert_eq!(parse(b"$3\r\na\nb\r\n"), Some((Ok(Answer::Bulk(3)), 9)));
        assert_eq!(parse(b"$3\r\na\nb\r"), None);
        assert_eq!(parse(b"$-1\r\n"), Some((Ok(Answer::Nil), 5)));
        assert_eq!(parse(b":12\r\n"), Some((Ok(Answer::Integer(12)), 5)));
        assert_eq!(parse(b"+O"), None);
    }

    #[test]
    fn refusals_are_told_apart() {
        assert_eq!(parse(b"-NOTLEADER 3\r\n"), Some((Err(Failure::NotLeader), 14)));
        assert_eq!(parse(b"-UNKNOWN token\r\n"), Some((Err(Failure::Unknown), 16)));
        assert_eq!(parse(b"-UNAVAILABLE\r\n"), Some((Err(Failure::Unavailable), 14)));
        assert_eq!(parse(b"-ERR no\r\n"), Some((Err(Failure::Other("ERR no".to_owned())), 9)));
        assert!(matches!(parse(b"$99999999999\r\n"), Some((Err(Failure::Broken(_)), _))));
        assert!(matches!(parse(b"?\r\n"), Some((Err(Failure::Broken(_)), _))));
    }

    #[test]
    fn a_command_is_written_as_redis_reads_it() {
        let mut output = Vec::new();
        push_command(&mut output, &[b"GET", b"0123456789"]);
        assert_eq!(output, b"*2\r\n$3\r\nGET\r\n$10\r\n0123456789\r\n");
    }
}
