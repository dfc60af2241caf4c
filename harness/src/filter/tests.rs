//! Tests of [`super`].

use super::*;

#[test]
fn a_file_is_read_in_each_form_and_refused_by_its_place() {
    let folder = std::env::temp_dir().join(format!("rxlab-filter-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("program");
    let named = format!("@{}", path.display());
    for text in ["1\n6 0 0 5\n", "{ 6, 0, 0, 5 },", "(000) ret      #5"] {
        std::fs::write(&path, text).unwrap();
        let program = load(&named, 1, Dialect::Npcap).unwrap();
        assert_eq!(program.run(&[], 0).accept, 5);
        assert_eq!(program.dialect(), Dialect::Npcap);
    }
    std::fs::write(&path, "1\n6 0 x 5\n").unwrap();
    let error = load(&named, 1, Dialect::Libpcap).unwrap_err().to_string();
    assert!(error.contains("program: tcpdump -ddd text, line 2, column 5: "), "{error}");
    std::fs::remove_dir_all(&folder).unwrap();
    let error = load(&named, 1, Dialect::Libpcap).unwrap_err().to_string();
    assert!(error.contains("program: "), "{error}");
}

#[test]
fn an_expression_obeys_the_dialect() {
    if libpcap::library_version().is_err() {
        println!("skipped: libpcap is not installed (cargo xtask test installs it)");
        return;
    }
    assert_eq!(load("ip", 96, Dialect::Libpcap).unwrap().len(), 4);
    assert!(load("len % 7 = 0", 96, Dialect::Npcap).is_ok());
    let error = load("len % 7 = 0", 96, Dialect::WinPcap).unwrap_err().to_string();
    assert!(error.contains("'len % 7 = 0' in winpcap's dialect: "), "{error}");
    assert!(load("ip6 protochain 6", 96, Dialect::Libpcap).is_ok());
    let error = load("ip6 protochain 6", 96, Dialect::Linux).unwrap_err().to_string();
    assert!(error.contains("jump"), "{error}");
    assert!(matches!(load("nonsense (", 96, Dialect::Libpcap), Err(LoadError::Expression(_))));
}
