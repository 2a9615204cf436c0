// What a Rust handler with nothing but the standard library does for the same request: a thread for each
// connection, and no more of HTTP than it needs.
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

fn serve(mut stream: TcpStream) -> std::io::Result<()> {
    let mut data = Vec::new();
    let mut piece = [0u8; 4096];
    stream.set_nodelay(true)?;
    loop {
        let count = stream.read(&mut piece)?;
        if count == 0 {
            return Ok(());
        }
        data.extend_from_slice(&piece[..count]);
        while let Some(end) = data.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&data[..end]).into_owned();
            let target = head.split(' ').nth(1).unwrap_or("/");
            let body = format!("Hello, {}!\n", target.rsplit('/').next().unwrap_or(""));
            let answer = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\n\r\n{}",
                body.len(),
                body
            );
            stream.write_all(answer.as_bytes())?;
            data.drain(..end + 4);
        }
    }
}

fn main() {
    let port = std::env::var("FUNCTIONS_CUSTOMHANDLER_PORT").expect("a port");
    let listener = TcpListener::bind(format!("127.0.0.1:{}", port)).expect("the port is free");
    for stream in listener.incoming().flatten() {
        std::thread::spawn(move || serve(stream));
    }
}
