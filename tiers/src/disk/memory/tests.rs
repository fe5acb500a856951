use super::*;
use crate::disk::AlignedBuffer;

fn path(name: &str) -> &Path {
    Path::new(name)
}

/// A disk with one durable file of 2,048 bytes of 1.
fn with_file() -> (MemoryDisk, Arc<dyn File>) {
    let disk = MemoryDisk::new(1);
    let file = disk.open(path("f"), OpenMode::CreateNew).unwrap();
    file.write_all_at(&[1; 2048], 0).unwrap();
    file.sync().unwrap();
    disk.sync_directory(path("")).unwrap();
    (disk, file)
}

fn contents(disk: &MemoryDisk, name: &str) -> Vec<u8> {
    let file = disk.open(path(name), OpenMode::Read).unwrap();
    let mut bytes = vec![0; file.len().unwrap() as usize];
    file.read_exact_at(&mut bytes, 0).unwrap();
    bytes
}

#[test]
fn a_power_cut_loses_what_was_not_synced() {
    let (disk, file) = with_file();
    file.write_all_at(&[2; 1024], 512).unwrap();
    file.write_all_at(&[3; 10], 3000).unwrap();
    let kept = disk.fork();
    kept.power_cut(Unsynced::Kept);
    assert_eq!(contents(&kept, "f").len(), 3010);
    disk.power_cut(Unsynced::Lost);
    assert_eq!(contents(&disk, "f"), [1; 2048]);
    assert_eq!(file.sync().err().unwrap().kind(), io::ErrorKind::BrokenPipe);
}

#[test]
fn a_mixed_power_cut_keeps_each_sector_or_loses_it() {
    let (disk, file) = with_file();
    file.write_all_at(&[2; 2048], 0).unwrap();
    let mut seen = std::collections::BTreeSet::new();
    let mut torn = 0;
    for seed in 0..400 {
        let cut = disk.fork();
        cut.power_cut(Unsynced::Mixed(seed));
        let bytes = contents(&cut, "f");
        let whole = bytes.chunks(512).filter(|sector| sector.iter().all(|byte| *byte == sector[0])).count();
        torn += usize::from(whole < 4);
        assert!(whole >= 3, "only the last write tears, in one sector");
        seen.insert(bytes.chunks(512).map(|sector| sector[0]).collect::<Vec<_>>());
        let again = disk.fork();
        again.power_cut(Unsynced::Mixed(seed));
        assert_eq!(contents(&again, "f"), bytes, "the same seed gives the same bytes");
    }
    assert_eq!(seen.len(), 16, "every subset of four sectors comes up");
    assert!(torn > 20);
}

#[test]
fn unsynced_directory_changes_are_lost() {
    let (disk, _file) = with_file();
    disk.create_directory(path("d/e")).unwrap();
    disk.open(path("new"), OpenMode::CreateNew).unwrap();
    disk.rename(path("f"), path("g")).unwrap();
    let kept = disk.fork();
    kept.power_cut(Unsynced::Kept);
    assert_eq!(kept.list(path("")).unwrap(), [PathBuf::from("g"), PathBuf::from("new")]);
    assert!(kept.list(path("d/e")).is_ok());
    let synced = disk.fork();
    synced.sync_directory(path("")).unwrap();
    synced.power_cut(Unsynced::Lost);
    assert_eq!(synced.list(path("")).unwrap(), [PathBuf::from("g"), PathBuf::from("new")]);
    assert!(synced.list(path("d")).is_ok());
    assert!(synced.list(path("d/e")).is_err(), "its own parent was not synced");
    disk.power_cut(Unsynced::Lost);
    assert_eq!(disk.list(path("")).unwrap(), [PathBuf::from("f")]);
    let (removed, _file) = with_file();
    removed.remove(path("f")).unwrap();
    removed.power_cut(Unsynced::Lost);
    assert_eq!(contents(&removed, "f"), [1; 2048]);
}

#[test]
fn after_a_failed_sync_the_data_only_looks_durable() {
    let (disk, file) = with_file();
    file.write_all_at(&[2; 512], 0).unwrap();
    disk.fail(Call::Sync, 1, io::ErrorKind::Other);
    assert_eq!(file.sync().err().unwrap().kind(), io::ErrorKind::Other);
    file.sync().unwrap();
    assert_eq!(contents(&disk, "f")[0], 2);
    disk.power_cut(Unsynced::Kept);
    assert_eq!(contents(&disk, "f")[0], 1);
}

#[test]
fn the_nth_call_fails_and_only_that_one() {
    let (disk, file) = with_file();
    disk.fail(Call::Write, 2, io::ErrorKind::Other);
    disk.fail(Call::Read, 1, io::ErrorKind::TimedOut);
    let mut byte = [0];
    assert_eq!(file.read_exact_at(&mut byte, 0).err().unwrap().kind(), io::ErrorKind::TimedOut);
    file.read_exact_at(&mut byte, 0).unwrap();
    file.write_all_at(&[2], 0).unwrap();
    assert!(file.write_all_at(&[3; 100], 0).is_err());
    file.write_all_at(&[4], 0).unwrap();
    disk.fail(Call::Any, 1, io::ErrorKind::Other);
    assert!(disk.open(path("x"), OpenMode::CreateNew).is_err());
    disk.fail(Call::Any, 1, io::ErrorKind::Other);
    disk.heal();
    assert!(disk.open(path("x"), OpenMode::CreateNew).is_ok());
}

#[test]
fn a_full_disk_refuses_growth_and_nothing_else() {
    let (disk, file) = with_file();
    disk.set_capacity(Some(3000));
    assert_eq!(disk.room(path("")).unwrap(), 952);
    file.write_all_at(&[2; 952], 2048).unwrap();
    assert_eq!(disk.room(path("")).unwrap(), 0);
    assert_eq!(file.write_all_at(&[2], 3000).err().unwrap().kind(), io::ErrorKind::StorageFull);
    assert_eq!(file.set_len(3001).err().unwrap().kind(), io::ErrorKind::StorageFull);
    file.write_all_at(&[3; 100], 0).unwrap();
    disk.set_capacity(None);
    file.write_all_at(&[2], 3000).unwrap();
    assert_eq!(disk.used_bytes(), 3001);
}

#[test]
fn a_removed_file_frees_its_room_once_it_is_closed_and_durably_gone() {
    let (disk, file) = with_file();
    disk.remove(path("f")).unwrap();
    disk.sync_directory(path("")).unwrap();
    assert_eq!(disk.used_bytes(), 2048);
    drop(file);
    assert_eq!(disk.used_bytes(), 0);
}

#[test]
fn a_frozen_disk_catches_one_change_in_the_act() {
    let (disk, file) = with_file();
    disk.freeze_after(2);
    file.write_all_at(&[2; 512], 0).unwrap();
    file.sync().unwrap();
    assert!(!disk.is_frozen());
    assert!(file.write_all_at(&[3; 512], 0).is_err());
    assert!(disk.is_frozen());
    assert!(file.write_all_at(&[4; 512], 0).is_err());
    assert!(file.sync().is_err());
    assert!(file.len().is_err());
    let kept = disk.fork();
    kept.power_cut(Unsynced::Kept);
    assert_eq!(contents(&kept, "f")[0], 3);
    disk.power_cut(Unsynced::Lost);
    assert_eq!(contents(&disk, "f")[0], 2);
}

#[test]
fn direct_writes_are_durable_and_must_be_aligned() {
    let (disk, _file) = with_file();
    let direct = disk.open_direct(path("f")).unwrap();
    let mut buffer = AlignedBuffer::new();
    buffer.resize(4096).fill(9);
    direct.write_all_at(buffer.as_slice(), 4096).unwrap();
    assert!(direct.write_all_at(&buffer.as_slice()[..512], 0).is_err());
    assert!(direct.write_all_at(buffer.as_slice(), 512).is_err());
    disk.power_cut(Unsynced::Lost);
    let bytes = contents(&disk, "f");
    assert_eq!(bytes.len(), 8192);
    assert_eq!((bytes[0], bytes[2048], bytes[4096], bytes[8191]), (1, 0, 9, 9));
}

#[test]
fn flipped_bits_stay_and_broken_sectors_fail() {
    let (disk, file) = with_file();
    disk.flip_bits(path("f"), 700, 0b101).unwrap();
    disk.power_cut(Unsynced::Lost);
    assert_eq!(contents(&disk, "f")[700], 1 ^ 0b101);
    assert!(disk.flip_bits(path("f"), 2048, 1).is_err());
    drop(file);
    let file = disk.open(path("f"), OpenMode::ReadWrite).unwrap();
    disk.break_sector(path("f"), 600).unwrap();
    let mut bytes = [0; 512];
    file.read_exact_at(&mut bytes, 0).unwrap();
    assert!(file.read_exact_at(&mut bytes, 512).is_err());
    file.write_all_at(&bytes, 512).unwrap();
    file.read_exact_at(&mut bytes, 512).unwrap();
}

#[test]
fn a_misdirected_read_finds_another_page_once() {
    let (disk, file) = with_file();
    let other = disk.open(path("g"), OpenMode::CreateNew).unwrap();
    other.write_all_at(&[7; 700], 0).unwrap();
    disk.misdirect_read(path("f"), 300, path("g"), 0).unwrap();
    let mut bytes = [0; 400];
    file.read_exact_at(&mut bytes, 500).unwrap();
    // Of the first page, as far as the other file goes.
    assert!(bytes[..200].iter().all(|byte| *byte == 7) && bytes[200..].iter().all(|byte| *byte != 7));
    assert_eq!(disk.calls().misread, 1);
    assert!(contents(&disk, "f").iter().all(|byte| *byte != 7), "the next read finds what is there");
    disk.misdirect_read(path("f"), 0, path("f"), 0).unwrap();
    contents(&disk, "f");
    assert_eq!(disk.calls().misread, 1, "the same bytes are no fault");
}

#[test]
fn a_lock_is_held_once_and_dies_with_its_process() {
    let disk = MemoryDisk::new(1);
    let held = disk.lock(path("")).unwrap();
    assert_eq!(disk.lock(path("")).err().unwrap().kind(), io::ErrorKind::WouldBlock);
    disk.kill();
    let again = disk.lock(path("")).unwrap();
    drop(held);
    assert!(disk.lock(path("")).is_err(), "the dead process's lock does not release the new one");
    drop(again);
    disk.lock(path("")).unwrap();
}
