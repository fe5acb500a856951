//! Stream ids: `ms-seq`, and the forms that ask for less.

/// A full id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Id {
    pub(super) timestamp: u64,
    pub(super) sequence: u64,
}

impl Id {
    pub(super) const MIN: Self = Self { timestamp: 0, sequence: 0 };
    pub(super) const MAX: Self = Self { timestamp: u64::MAX, sequence: u64::MAX };

    /// `ms-seq`, or `ms` with a default for the sequence.
    pub(super) fn parse(text: &[u8], sequence_default: u64) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?;
        match text.split_once('-') {
            Some((ms, seq)) => Some(Self { timestamp: number(ms)?, sequence: number(seq)? }),
            None => Some(Self { timestamp: number(text)?, sequence: sequence_default }),
        }
    }

    /// The start of a range: `-`, an id, or `(` and an id that is not part of it. `Some(None)` is a range with nothing in it.
    pub(super) fn range_start(text: &[u8]) -> Option<Option<Self>> {
        match text {
            b"-" => Some(Some(Self::MIN)),
            b"+" => Some(Some(Self::MAX)),
            [b'(', id @ ..] => Self::parse(id, 0).map(Self::next),
            id => Self::parse(id, 0).map(Some),
        }
    }

    /// The end of a range: `+`, an id, or `(` and an id that is not part of it.
    pub(super) fn range_end(text: &[u8]) -> Option<Option<Self>> {
        match text {
            b"-" => Some(Some(Self::MIN)),
            b"+" => Some(Some(Self::MAX)),
            [b'(', id @ ..] => Self::parse(id, u64::MAX).map(Self::previous),
            id => Self::parse(id, u64::MAX).map(Some),
        }
    }

    pub(super) fn next(self) -> Option<Self> {
        match self.sequence.checked_add(1) {
            Some(sequence) => Some(Self { sequence, ..self }),
            None => self.timestamp.checked_add(1).map(|timestamp| Self { timestamp, sequence: 0 }),
        }
    }

    fn previous(self) -> Option<Self> {
        match self.sequence.checked_sub(1) {
            Some(sequence) => Some(Self { sequence, ..self }),
            None => self.timestamp.checked_sub(1).map(|timestamp| Self { timestamp, sequence: u64::MAX }),
        }
    }
}

impl std::fmt::Display for Id {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.timestamp, self.sequence)
    }
}

/// The id that an entry is added with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// `*`: the time now.
    Auto,
    /// `ms-*`: the next sequence of this millisecond.
    Within(u64),
    /// Exactly this one.
    Exactly(Id),
}

impl Wanted {
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        match text {
            b"*" => Some(Self::Auto),
            [ms @ .., b'-', b'*'] => std::str::from_utf8(ms).ok().and_then(number).map(Self::Within),
            id => Id::parse(id, 0).map(Self::Exactly),
        }
    }
}

/// Digits and nothing else.
fn number(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}
