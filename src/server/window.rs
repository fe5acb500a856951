//! How many requests of a connection are carried out at a time, by what the replies to the last ones weighed: a client that asks for little is
//! served many requests at once, and one that asks for much does not fill the memory.

use super::command::{Rule, Verb};

/// The most requests of one connection that are under way at the same time.
pub(super) const REQUESTS_MAX: usize = 256;
/// How many there are at first.
const REQUESTS_FIRST: usize = 32;
/// The most requests among them that may read much whatever the length of values: ranges of streams, and many keys at once.
const WIDE_MAX: usize = 4;
/// About how many bytes of replies are in memory at the same time, if the next ones are like the last.
const REPLY_BYTES: usize = 4 << 20;

/// The bound on a run, and how far it is filled.
#[derive(Debug)]
pub(super) struct Window {
    requests_max: usize,
    wide: usize,
}

impl Default for Window {
    fn default() -> Self {
        Self { requests_max: REQUESTS_FIRST, wide: 0 }
    }
}

impl Window {
    /// Whether a request has room beside so many others.
    pub(super) fn has_room(&self, rule: &Rule, requests: usize) -> bool {
        requests < self.requests_max && (self.wide < WIDE_MAX || !is_wide(rule))
    }

    pub(super) fn take(&mut self, rule: &Rule) {
        self.wide += usize::from(is_wide(rule));
    }

    /// So many requests were answered, with so many bytes.
    pub(super) fn answered(&mut self, requests: usize, bytes: usize) {
        self.wide = 0;
        if bytes > REPLY_BYTES {
            // Less than as many as were carried out.
            self.requests_max = (requests.saturating_mul(REPLY_BYTES) / bytes).max(1);
        } else if requests >= self.requests_max && bytes <= REPLY_BYTES / 2 {
            self.requests_max = (2 * self.requests_max).min(REQUESTS_MAX);
        }
    }
}

fn is_wide(rule: &Rule) -> bool {
    matches!(rule.verb, Verb::Xrange | Verb::Xrevrange | Verb::Mget | Verb::Exists)
}

#[cfg(test)]
mod tests {
    use super::super::command::RULES;
    use super::*;

    fn rule(name: &str) -> &'static Rule {
        RULES.iter().find(|rule| rule.name == name).unwrap()
    }

    #[test]
    fn it_opens_for_short_replies_and_closes_for_long_ones() {
        let mut window = Window::default();
        assert!(
            window.has_room(rule("GET"), REQUESTS_FIRST - 1) && !window.has_room(rule("GET"), REQUESTS_FIRST)
        );
        window.answered(REQUESTS_FIRST - 1, 100);
        assert!(!window.has_room(rule("GET"), REQUESTS_FIRST), "it was not full");
        for _ in 0..9 {
            window.answered(window.requests_max, 100);
        }
        assert_eq!(window.requests_max, REQUESTS_MAX);
        window.answered(REQUESTS_MAX, REQUESTS_MAX << 20);
        assert_eq!(window.requests_max, REPLY_BYTES >> 20);
        window.answered(4, 3 << 20);
        assert_eq!(window.requests_max, REPLY_BYTES >> 20, "twice as many would be too many");
        window.answered(1, 100 << 20);
        assert!(window.has_room(rule("GET"), 0) && !window.has_room(rule("GET"), 1));
    }

    #[test]
    fn few_ranges_are_read_at_a_time_whatever_there_was_before() {
        let mut window = Window::default();
        for taken in 0..WIDE_MAX {
            assert!(window.has_room(rule("XRANGE"), taken));
            window.take(rule("XRANGE"));
        }
        assert!(!window.has_room(rule("MGET"), WIDE_MAX) && window.has_room(rule("GET"), WIDE_MAX));
        window.answered(WIDE_MAX, 100);
        assert!(window.has_room(rule("MGET"), 0));
    }
}
