//! A state that was copied from another replica while the log went on.

use thermocline_tiers::hot::state::Digest;

use super::*;
use crate::node::command;
use crate::token::Token;

fn chosen(bucket: Bucket, slots: std::ops::RangeInclusive<u64>) -> Item {
    let originator = Originator { node: NodeId(2), boot: Boot { disk: 2, count: 1 } };
    let command = |counter| {
        let token = Token { client: 9, counter, bucket: bucket.0, born: 0 };
        let id = Some(CommandId { originator, sequence: counter });
        Command { id, heir: None, payload: command::encode_burn(&token) }
    };
    let (from, through) = (Slot(*slots.start()), Slot(*slots.end()));
    Item::FetchAnswer { bucket, from, commands: slots.map(command).collect(), chosen: through }
}

#[test]
fn what_was_decided_while_a_state_was_copied_is_fetched_for_it() {
    let mut worker = worker(1, 3, 7);
    let bucket = Bucket(3);
    let state_bucket = thermocline_tiers::hot::Bucket(bucket.0);
    let applied = |worker: &Worker| worker.part(bucket).applied(state_bucket).0;
    worker.failed.insert(bucket.0);
    tell(&mut worker, 0, 2, &chosen(bucket, 1..=3));
    assert_eq!((worker.core.status(bucket).chosen, applied(&worker)), (Slot(3), 0));
    // The copy is of slot 1, and the log goes on before what is between them can be fetched.
    worker.parts[0].restore(state_bucket).finish(thermocline_tiers::hot::Slot(1), Digest::default());
    worker.failed.remove(&bucket.0);
    told(&mut worker, 2);
    tell(&mut worker, 0, 2, &chosen(bucket, 4..=4));
    assert_eq!((worker.core.status(bucket).chosen, applied(&worker)), (Slot(4), 1));
    let asked = [told(&mut worker, 2), told(&mut worker, 3)].concat();
    let first = |item: &Item| matches!(item, Item::Fetch { bucket: of, from, .. } if *of == bucket && *from == Slot(2));
    assert!(asked.iter().any(first), "{asked:?}");
    tell(&mut worker, 0, 2, &chosen(bucket, 2..=4));
    assert_eq!(applied(&worker), 4);
}
