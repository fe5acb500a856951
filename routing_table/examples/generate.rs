//! Writes the hard-coded table and the published vectors into this crate's folder, where the crate includes them and
//! its tests read them. Running it must not change a file, unless the format itself is to change.

use std::path::Path;
use std::{fs, io};

use thermocline_routing_table::generate;

fn main() -> io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    write(&folder.join("table/owners.bin"), &generate::table())?;
    write(&folder.join("vectors/entity_hash.csv"), generate::entity_vectors().as_bytes())?;
    write(&folder.join("vectors/placement.csv"), generate::placement_vectors().as_bytes())
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let same = fs::read(path).is_ok_and(|old| old == bytes);
    if !same {
        fs::write(path, bytes)?;
    }
    println!("{} {} ({} bytes)", if same { "unchanged" } else { "written" }, path.display(), bytes.len());
    Ok(())
}
