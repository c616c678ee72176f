//! `mercato health`, and what a service manager is told.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::startup::run;
use super::{Server, TempFolder};

/// Listens on a free port, and responds to one request like this.
fn respond_once(response: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let read = stream.read(&mut [0; 1024]).unwrap();
        assert!(read > 0);
        stream.write_all(response.as_bytes()).unwrap();
    });
    address
}

#[test]
fn a_server_is_healthy_while_it_runs() {
    let folder = TempFolder::new();
    let server = Server::start(&folder, &[]);
    let address = server.after("GraphQL    http://").strip_suffix("/graphql").unwrap().to_owned();
    let (host, port) = address.split_once(':').unwrap();
    for arguments in [&["health"][..], &["health", "/readyz"], &["health", "/health"]] {
        folder.run(&[arguments, &["--address", &address]].concat()).expect(0, &[]);
        // From the settings, and even if it listens on all addresses.
        run(&folder, arguments, &[("HOST", host), ("PORT", port)]).expect(0, &[]);
        run(&folder, arguments, &[("HOST", "0.0.0.0"), ("PORT", port)]).expect(0, &[]);
    }
    folder.run(&["health", "/none", "--address", &address]).expect(1, &["/none", "404"]);
    folder.run(&["health", "livez", "--address", &address]).expect(1, &["the path must be"]);
    drop(server);
    folder.run(&["health", "--address", &address]).expect(1, &["refused", &address]);
}

#[test]
fn any_other_response_is_unhealthy() {
    let folder = TempFolder::new();
    for (response, words) in [
        ("HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n", "status 503"),
        ("HTTP/1.1 301 Moved Permanently\r\ncontent-length: 0\r\n\r\n", "status 301"),
        ("220 mail.example ESMTP\r\n", "not HTTP"),
        ("hello", "not HTTP"),
    ] {
        let address = respond_once(response);
        folder.run(&["health", "--address", &address]).expect(1, &[words]);
    }
    folder.run(&["health", "--worker"]).expect(1, &["WORKER_HEALTH_ADDR is not set"]);
}

#[test]
fn the_service_manager_is_told_when_a_process_is_ready_and_when_it_stops() {
    for arguments in [&["serve", "--port", "0"][..], &["worker"]] {
        let folder = TempFolder::new();
        let socket = UnixDatagram::bind(folder.file("notify")).unwrap();
        socket.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
        let receive = || {
            let mut message = [0; 64];
            let length = socket.recv(&mut message).unwrap();
            String::from_utf8(message[..length].to_vec()).unwrap()
        };
        let mut command = folder.command(arguments);
        command.env("NOTIFY_SOCKET", folder.file("notify"));
        let mut process = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        assert_eq!(receive(), "READY=1");
        assert!(Command::new("kill").args(["-TERM", &process.id().to_string()]).status().unwrap().success());
        assert_eq!(receive(), "STOPPING=1");
        assert_eq!(process.wait().unwrap().code(), Some(0));
    }
}
