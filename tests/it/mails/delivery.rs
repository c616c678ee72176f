//! The mailers: sending over SMTP and into files, and everything that can go wrong.

use std::path::Path;
use std::time::{Duration, Instant};

use mercato::domain::time::Timestamp;
use mercato::integrations::mail::{
    FileMailer, MailError, Mailer, OutgoingMail, Sender, SmtpMailer, SmtpServer,
};

use crate::support::scratch;
use crate::support::smtp::{Mail, SmtpBehavior, SmtpSink};

fn mail(id: &str) -> OutgoingMail {
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

/// Asserts that a received mail is the complete one that [`mail`] returns.
#[track_caller]
fn assert_is_unchanged(received: &Mail) {
    assert_eq!(received.to, ["ada@example.com"]);
    assert_eq!(received.header("Subject"), "Bestellung #1042 bestätigt");
    assert_eq!(received.header("From"), "Paper & Home <shop@shop.example>");
    assert_eq!(received.header("Date"), "Thu, 01 Jan 2026 12:00:00 +0000");
    assert_eq!(received.text().trim_end(), "Guten Tag Ada,\n.\nGesamtbetrag: 12,40\u{a0}EUR");
    assert_eq!(received.html(), "<p>Guten Tag Ada,</p>\n<p>Gesamtbetrag: 12,40\u{a0}EUR</p>");
}

#[tokio::test]
async fn mails_arrive_over_smtp_unchanged() {
    let sink = SmtpSink::start().await;
    let mailer = mailer(&sink.url());
    for id in ["a.1", "a.2", "a.3"] {
        mailer.send(&mail(id)).await.unwrap();
    }
    let mails = sink.mails();
    assert_eq!(mails.len(), 3);
    for (received, id) in mails.iter().zip(["a.1", "a.2", "a.3"]) {
        assert_eq!(received.from, "shop@shop.example");
        assert_eq!(received.header("Message-ID"), format!("<{id}@shop.example>"));
        assert_is_unchanged(received);
    }
    assert_eq!(sink.connections(), 1, "the connection is reused");
}

#[tokio::test]
async fn mails_are_sent_concurrently() {
    let sink = SmtpSink::start().await;
    let mailer = mailer(&sink.url());
    let mails: Vec<OutgoingMail> = (0..20).map(|id| mail(&format!("b.{id}"))).collect();
    let results = futures_util::future::join_all(mails.iter().map(|mail| mailer.send(mail))).await;
    assert!(results.iter().all(Result::is_ok), "{results:?}");
    let mut ids: Vec<String> = sink.mails().iter().map(|mail| mail.header("Message-ID")).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 20);
}

#[tokio::test]
async fn only_permanent_failures_are_final() {
    let sink = SmtpSink::start().await;
    let mailer = mailer(&sink.url());
    for (behavior, is_transient) in [
        (SmtpBehavior::RejectAll, false),
        (SmtpBehavior::FailTemporarily, true),
        (SmtpBehavior::RequirePassword, true),
        (SmtpBehavior::Disconnect, true),
    ] {
        sink.set_behavior(behavior);
        let error = mailer.send(&mail("c.1")).await.unwrap_err();
        assert_eq!(error.is_transient(), is_transient, "{behavior:?}: {error}");
        let message = error.to_string();
        assert!(!message.contains("ada") && !message.contains("such user"), "{message}");
        assert_eq!(sink.mails().len(), 0);
    }
    sink.set_behavior(SmtpBehavior::Accept);
    mailer.send(&mail("c.1")).await.unwrap();
    let url = sink.url();
    drop(sink);
    // Wait until nothing listens on the port any more.
    let port = url.rsplit(':').next().unwrap().to_owned();
    while tokio::net::TcpListener::bind(format!("127.0.0.1:{port}")).await.is_err() {
        tokio::task::yield_now().await;
    }
    assert!(matches!(mailer.send(&mail("c.2")).await, Err(MailError::Failed(_))));
}

#[tokio::test]
async fn a_mail_without_a_response_is_sent_again_with_the_same_message_id() {
    let sink = SmtpSink::start().await;
    let mailer = mailer(&sink.url());
    sink.set_behavior(SmtpBehavior::DisconnectAfterMail);
    assert!(mailer.send(&mail("d.1")).await.unwrap_err().is_transient());
    sink.set_behavior(SmtpBehavior::Accept);
    mailer.send(&mail("d.1")).await.unwrap();
    let ids: Vec<String> = sink.mails().iter().map(|mail| mail.header("Message-ID")).collect();
    assert_eq!(ids, ["<d.1@shop.example>", "<d.1@shop.example>"]);
}

#[tokio::test]
async fn late_responses_are_not_mistaken_for_those_of_the_next_mail() {
    let sink = SmtpSink::start().await;
    let mailer = mailer(&sink.url());
    mailer.send(&mail("e.1")).await.unwrap();
    sink.set_behavior(SmtpBehavior::Delay(Duration::from_mins(1)));
    let began = Instant::now();
    assert!(matches!(mailer.send(&mail("e.2")).await, Err(MailError::TimedOut)));
    let took = began.elapsed();
    assert!((Duration::from_millis(2_900)..Duration::from_secs(6)).contains(&took), "{took:?}");

    sink.set_behavior(SmtpBehavior::RejectAll);
    assert!(matches!(mailer.send(&mail("e.3")).await, Err(MailError::Refused(_))), "got the response to e.2");
    sink.set_behavior(SmtpBehavior::Accept);
    mailer.send(&mail("e.4")).await.unwrap();
    let ids: Vec<String> = sink.mails().iter().map(|mail| mail.header("Message-ID")).collect();
    assert_eq!(ids, ["<e.1@shop.example>", "<e.4@shop.example>"]);
}

#[tokio::test]
async fn nothing_is_sent_to_invalid_addresses() {
    let sink = SmtpSink::start().await;
    let mailer = mailer(&sink.url());
    for to in ["", "ada", "ada@example.com\r\nRCPT TO:<bob@example.com>", "ada@example.com>,<bob@example.com"]
    {
        let mail = OutgoingMail { to: to.to_owned(), ..mail("f.1") };
        assert!(matches!(mailer.send(&mail).await, Err(MailError::Refused(_))), "{to}");
    }
    assert_eq!(sink.connections(), 0);
}

#[tokio::test]
async fn the_file_mailer_writes_each_mail_to_a_file() {
    let folder = scratch::subdir("mail");
    let inner = folder.join("shop/mail");
    let mailer = FileMailer::new(inner.clone(), Sender::parse("Paper & Home <shop@shop.example>").unwrap());
    mailer.send(&mail("g.1")).await.unwrap();
    mailer.send(&mail("g.2")).await.unwrap();
    // Sending the same mail again overwrites its file.
    mailer.send(&mail("g.1")).await.unwrap();
    assert_eq!(file_names(&inner), ["g.1.eml", "g.2.eml"]);
    assert_is_unchanged(&Mail::of_file(&std::fs::read_to_string(inner.join("g.1.eml")).unwrap()));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(inner.join("g.1.eml")).unwrap().permissions().mode() & 0o777, 0o600);
    }
    let escaping = OutgoingMail { id: "../g".to_owned(), ..mail("g.1") };
    assert!(matches!(mailer.send(&escaping).await, Err(MailError::Refused(_))));

    // The folder can't be created, because a file has its name.
    let blocked = FileMailer::new(inner.join("g.1.eml/mail"), Sender::named_by_shop());
    assert!(blocked.send(&mail("g.3")).await.unwrap_err().is_transient());
}

#[test]
fn a_mail_whose_sending_is_cancelled_leaves_no_temporary_file() {
    let folder = scratch::subdir("mail");
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let mailer = FileMailer::new(folder.clone(), Sender::named_by_shop());
        let mail = mail("h.1");
        let file_exists = async {
            while file_names(&folder).is_empty() {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            biased;
            result = mailer.send(&mail) => result.unwrap(),
            () = file_exists => {}
        }
    });
    // Waits for what the mailer has begun.
    drop(runtime);
    assert_eq!(file_names(&folder), ["h.1.eml"]);
}

/// The names of all files in a folder, in order.
fn file_names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort_unstable();
    names
}
