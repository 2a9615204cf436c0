// HTTP/2 over TLS, for the tests of azfn-https.so. http2_server.js FOLDER: with the certificate that https_server.py
// has made there; writes "http2=PORT" on stdout and ends with its stdin.
'use strict';
const fs = require('fs');
const http2 = require('http2');

const folder = process.argv[2];
const server = http2.createSecureServer({
  key: fs.readFileSync(`${folder}/good.key`), cert: fs.readFileSync(`${folder}/good.pem`), allowHTTP1: false,
});
let sessions = 0;
server.on('session', () => { sessions += 1; });
server.on('error', () => {});
server.on('stream', (stream, headers) => {
  stream.on('error', () => {});
  const [, name, argument] = headers[':path'].split('/');
  if (name === 'never') return;
  if (name === 'echo') {
    stream.respond({':status': 200});
    stream.pipe(stream);
  } else if (name === 'bytes') {
    stream.respond({':status': 200, 'content-length': argument});
    stream.end(Buffer.alloc(Number(argument), 'x'));
  } else if (name === 'endless') {
    stream.respond({':status': 200});
    const piece = Buffer.alloc(16384, 'z');
    const more = () => { while (!stream.destroyed && stream.write(piece)); };
    stream.on('drain', more);
    more();
  } else if (name === 'sessions') {
    stream.respond({':status': 200});
    stream.end(String(sessions));
  } else if (name === 'reset') {
    stream.close(http2.constants.NGHTTP2_INTERNAL_ERROR);
  } else {
    stream.respond({':status': 200, 'x-name': 'value', 'x-asked': String(headers['authorization'])});
    stream.end('hello');
  }
});
server.listen(0, '127.0.0.1', () => { process.stdout.write(`http2=${server.address().port}\n`); });
process.stdin.on('end', () => process.exit(0)).on('error', () => process.exit(0)).resume();
