//! Completions and man pages.

use std::fs;

use super::TempFolder;

#[test]
fn shells_complete_commands_and_options() {
    let folder = TempFolder::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = folder.run(&["completions", shell]);
        output.expect(0, &[]);
        for word in ["mercato", "serve", "backup", "doctor", "json"] {
            assert!(output.stdout.contains(word), "{word} is missing for {shell}");
        }
    }
    folder.run(&["completions", "cobol"]).expect(2, &["cobol", "bash"]);
    assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 0);
}

#[test]
fn every_command_has_a_man_page() {
    let folder = TempFolder::new();
    folder.run(&["man", "pages/man1"]).expect(0, &[]);
    for (page, words) in [
        ("mercato.1", &["mercato", "DATABASE_URL", "serve"][..]),
        ("mercato-serve.1", &["Serve the shop", "demo"]),
        ("mercato-backup.1", &["Back up", "force"]),
        ("mercato-import-products.1", &["dry"]),
    ] {
        let text = fs::read_to_string(folder.file(&format!("pages/man1/{page}"))).unwrap();
        assert!(text.starts_with(".ie") || text.contains(".TH"), "{page} is not a man page");
        for word in words {
            assert!(text.contains(word), "{word} is missing in {page}");
        }
    }
    fs::write(folder.file("file"), "").unwrap();
    folder.run(&["man", "file"]).expect(1, &["file: "]);
}
