//! The mailers themselves: a letter over SMTP and into a file, and every way that can go wrong.

use std::time::{Duration, Instant};

use mercato::domain::time::Timestamp;
use mercato::integrations::mail::{
    FileMailer, MailError, Mailer, OutgoingMail, Sender, SmtpMailer, SmtpServer,
};

use crate::support::scratch;
use crate::support::smtp::{Mail, Manner, SmtpSink};

fn letter(id: &str) -> OutgoingMail {
    OutgoingMail {
        id: id.to_owned(),
        shop: "Paper & Home".to_owned(),
        to: "ada@example.com".to_owned(),
        subject: "Bestellung #1042 bestätigt".to_owned(),
        text: "Guten Tag Ada,\n.\nGesamtbetrag: 12,40\u{a0}EUR\n".to_owned(),
        html: "<p>Guten Tag Ada,</p>\n<p>Gesamtbetrag: 12,40\u{a0}EUR</p>".to_owned(),
        language: "de",
        date: Timestamp::from_micros(1_767_268_800_000_000).unwrap(),
    }
}

fn mailer(url: &str) -> SmtpMailer {
    let from = Sender::parse("Paper & Home <shop@shop.example>").unwrap();
    SmtpMailer::new(SmtpServer::parse(url).unwrap(), from)
}

/// That a mail is the letter, whole.
#[track_caller]
fn assert_is_letter(mail: &Mail) {
    assert_eq!(mail.to, ["ada@example.com"]);
    assert_eq!(mail.header("Subject"), "Bestellung #1042 bestätigt");
    assert_eq!(mail.header("From"), "Paper & Home <shop@shop.example>");
    assert_eq!(mail.header("Date"), "Thu, 01 Jan 2026 12:00:00 +0000");
    assert_eq!(mail.text().trim_end(), "Guten Tag Ada,\n.\nGesamtbetrag: 12,40\u{a0}EUR");
    assert_eq!(mail.html(), "<p>Guten Tag Ada,</p>\n<p>Gesamtbetrag: 12,40\u{a0}EUR</p>");
}

#[tokio::test]
async fn a_letter_arrives_over_smtp_as_it_was_written() {
    let sink = SmtpSink::start().await;
    let mailer = mailer(&sink.url());
    for id in ["a.1", "a.2", "a.3"] {
        mailer.send(&letter(id)).await.unwrap();
    }
    let mails = sink.mails();
    assert_eq!(mails.len(), 3);
    for (mail, id) in mails.iter().zip(["a.1", "a.2", "a.3"]) {
        assert_eq!(mail.from, "shop@shop.example");
        assert_eq!(mail.header("Message-ID"), format!("<{id}@shop.example>"));
        assert_is_letter(mail);
    }
    assert_eq!(sink.calls(), 1, "the connection is used again");
}

#[tokio::test]
async fn letters_are_sent_side_by_side() {
    let sink = SmtpSink::start().await;
    let mailer = mailer(&sink.url());
    let letters: Vec<OutgoingMail> = (0..20).map(|id| letter(&format!("b.{id}"))).collect();
    let sent = futures_util::future::join_all(letters.iter().map(|letter| mailer.send(letter))).await;
    assert!(sent.iter().all(Result::is_ok), "{sent:?}");
    let mut ids: Vec<String> = sink.mails().iter().map(|mail| mail.header("Message-ID")).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 20);
}

#[tokio::test]
async fn what_a_server_refuses_is_given_up_and_what_passes_is_not() {
    let sink = SmtpSink::start().await;
    let mailer = mailer(&sink.url());
    for (manner, is_transient) in [
        (Manner::Refuses, false),
        (Manner::IsBusy, true),
        (Manner::WantsPassword, true),
        (Manner::HangsUp, true),
    ] {
        sink.now(manner);
        let error = mailer.send(&letter("c.1")).await.unwrap_err();
        assert_eq!(error.is_transient(), is_transient, "{manner:?}: {error}");
        let told = error.to_string();
        assert!(!told.contains("ada") && !told.contains("such user"), "{told}");
        assert_eq!(sink.mails().len(), 0);
    }
    sink.now(Manner::Takes);
    mailer.send(&letter("c.1")).await.unwrap();
    let url = sink.url();
    drop(sink);
    // Nobody listens there any more.
    let port = url.rsplit(':').next().unwrap().to_owned();
    while tokio::net::TcpListener::bind(format!("127.0.0.1:{port}")).await.is_err() {
        tokio::task::yield_now().await;
    }
    assert!(matches!(mailer.send(&letter("c.2")).await, Err(MailError::Failed(_))));
}

#[tokio::test]
async fn a_letter_whose_answer_was_lost_is_known_by_its_name() {
    let sink = SmtpSink::start().await;
    let mailer = mailer(&sink.url());
    sink.now(Manner::ForgetsToAnswer);
    assert!(mailer.send(&letter("d.1")).await.unwrap_err().is_transient());
    sink.now(Manner::Takes);
    mailer.send(&letter("d.1")).await.unwrap();
    let ids: Vec<String> = sink.mails().iter().map(|mail| mail.header("Message-ID")).collect();
    assert_eq!(ids, ["<d.1@shop.example>", "<d.1@shop.example>"]);
}

#[tokio::test]
async fn a_server_that_dawdles_is_left_and_its_answer_is_nobody_elses() {
    let sink = SmtpSink::start().await;
    let mailer = mailer(&sink.url());
    mailer.send(&letter("e.1")).await.unwrap();
    sink.now(Manner::Dawdles(Duration::from_secs(60)));
    let began = Instant::now();
    assert!(matches!(mailer.send(&letter("e.2")).await, Err(MailError::TimedOut)));
    let took = began.elapsed();
    assert!((Duration::from_millis(2_900)..Duration::from_secs(6)).contains(&took), "{took:?}");

    sink.now(Manner::Refuses);
    assert!(
        matches!(mailer.send(&letter("e.3")).await, Err(MailError::Refused(_))),
        "not what was left of e.2"
    );
    sink.now(Manner::Takes);
    mailer.send(&letter("e.4")).await.unwrap();
    let ids: Vec<String> = sink.mails().iter().map(|mail| mail.header("Message-ID")).collect();
    assert_eq!(ids, ["<e.1@shop.example>", "<e.4@shop.example>"]);
}

#[tokio::test]
async fn an_address_that_is_none_is_never_sent_to() {
    let sink = SmtpSink::start().await;
    let mailer = mailer(&sink.url());
    for to in ["", "ada", "ada@example.com\r\nRCPT TO:<bob@example.com>", "ada@example.com>,<bob@example.com"]
    {
        let letter = OutgoingMail { to: to.to_owned(), ..letter("f.1") };
        assert!(matches!(mailer.send(&letter).await, Err(MailError::Refused(_))), "{to}");
    }
    assert_eq!(sink.calls(), 0);
}

#[tokio::test]
async fn without_a_server_a_letter_is_a_file() {
    let folder = scratch::subdir("mail");
    let inner = folder.join("shop/mail");
    let mailer = FileMailer::new(inner.clone(), Sender::parse("Paper & Home <shop@shop.example>").unwrap());
    mailer.send(&letter("g.1")).await.unwrap();
    mailer.send(&letter("g.2")).await.unwrap();
    // Sent again it is the same file.
    mailer.send(&letter("g.1")).await.unwrap();
    let mut names: Vec<String> = std::fs::read_dir(&inner)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort_unstable();
    assert_eq!(names, ["g.1.eml", "g.2.eml"]);
    assert_is_letter(&Mail::of_file(&std::fs::read_to_string(inner.join("g.1.eml")).unwrap()));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(inner.join("g.1.eml")).unwrap().permissions().mode() & 0o777, 0o600);
    }
    let escaping = OutgoingMail { id: "../g".to_owned(), ..letter("g.1") };
    assert!(matches!(mailer.send(&escaping).await, Err(MailError::Refused(_))));

    // Where a folder can't be, because a file is.
    let blocked = FileMailer::new(inner.join("g.1.eml/mail"), Sender::named_by_shop());
    assert!(blocked.send(&letter("g.3")).await.unwrap_err().is_transient());
}
