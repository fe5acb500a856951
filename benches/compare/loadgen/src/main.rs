//! `loadgen --endpoints HOST:PORT,... --operation put --clients 64`: one run, one line of JSON.

use std::error::Error;

use clap::Parser;

fn main() -> Result<(), Box<dyn Error>> {
    let report = loadgen::run(loadgen::Plan::parse())?;
    println!("{}", serde_json::to_string(&report)?);
    Ok(())
}
