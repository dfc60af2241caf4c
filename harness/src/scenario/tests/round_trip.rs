//! x
use super::*;
#[test]
fn defaults() {
    let s = read("[traffic]\nsource='generator'\nrate='1.2Mpps'\n[[handle]]\n[handle.reader]\nstall=[{at='1ms',for='2ms'}]\n").map_err(miette::Report::new).unwrap();
    println!("{}", s.to_toml());
    println!("{}", s.resolved().to_toml());
}
