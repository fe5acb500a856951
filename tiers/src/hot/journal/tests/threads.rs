//! The writer, readers and the preparer on threads of their own, on a real disk.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use super::super::*;
use super::scene::*;
use crate::disk::RealDisk;

#[test]
fn records_are_read_while_segments_are_written_recycled_and_prepared() {
    let root = tempfile::tempdir().unwrap();
    let disk = Arc::new(RealDisk::new(root.path()).unwrap());
    let limits = JournalConfig { segments_max: 8, ..JournalConfig::with_segment_bytes(128 << 10) };
    let (mut journal, _) =
        Journal::open(disk.clone(), directory(), limits.clone(), identity(), |_, _| {}).unwrap();
    let written: Mutex<Vec<(Position, u64)>> = Mutex::new(Vec::new());
    let done = AtomicBool::new(false);
    let (mut read, mut gone) = (0, 0);
    std::thread::scope(|scope| {
        let (preparer, reader) = (journal.preparer(), journal.reader());
        let (done, written) = (&done, &written);
        let preparing = scope.spawn(move || {
            let mut released = 0;
            while !done.load(Ordering::SeqCst) {
                match preparer.prepare_next() {
                    // The writer was faster: what it needs next is what is released now.
                    Ok(()) | Err(JournalError::Full { .. }) => {}
                    Err(error) => panic!("{error}"),
                }
                let newest = preparer.segments().last().unwrap().generation;
                released += preparer.reclaim(Generation(newest.0.saturating_sub(3))).unwrap().segments;
            }
            released
        });
        let reading = scope.spawn(move || {
            let (mut read, mut gone, mut buffer, mut step) = (0, 0, Vec::new(), 0_usize);
            while !done.load(Ordering::SeqCst) {
                step = step.wrapping_add(7919);
                let picked = {
                    let written = written.lock().unwrap();
                    (!written.is_empty()).then(|| written[step % written.len()])
                };
                let Some((position, slot)) = picked else { continue };
                match reader.read(position, &mut buffer) {
                    Ok(record) => {
                        assert_eq!(
                            (record.head, record.payload),
                            (head(3, slot), &payload(3, slot, 700)[..])
                        );
                        read += 1;
                    }
                    Err(JournalError::Gone(_)) => gone += 1,
                    Err(error) => panic!("{position:?}: {error}"),
                }
            }
            (read, gone)
        });
        let mut slot = 0;
        for _ in 0..400 {
            let records: Vec<_> = (0..8).map(|index| (3, slot + index, 700)).collect();
            slot += 8;
            let mut batch = batch(&limits, &records);
            loop {
                match journal.commit(&mut [&mut batch]) {
                    Ok(_) => break,
                    // The preparer has not come round to reclaiming yet.
                    Err(JournalError::Full { .. }) => std::thread::yield_now(),
                    Err(error) => panic!("{error}"),
                }
            }
            let positions = batch.positions().zip(records).map(|(position, (_, slot, _))| (position, slot));
            written.lock().unwrap().extend(positions);
        }
        done.store(true, Ordering::SeqCst);
        assert!(preparing.join().unwrap() > 5);
        (read, gone) = reading.join().unwrap();
    });
    assert!(read + gone > 0);
    journal.close().unwrap();
    let mut last = None;
    let (_, recovered) = Journal::open(disk, directory(), limits, identity(), |record, position| {
        assert_eq!(record.payload, payload(3, record.head.slot.0, 700));
        last = Some((position, record.head.slot.0));
    })
    .unwrap();
    assert!(recovered.damage.is_empty());
    assert_eq!(last, written.lock().unwrap().last().copied());
}
