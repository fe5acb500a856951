//! The command line of Thermocline. Everything it does is in [`thermocline::cli`]; this file only starts it.

fn main() -> std::process::ExitCode {
    thermocline::cli::main()
}
