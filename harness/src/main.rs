//! The program `rxlab`. Everything it does is in the library; see [`harness::cli`].

use harness::exit::Exit;

fn main() -> Exit {
    harness::cli::main()
}
