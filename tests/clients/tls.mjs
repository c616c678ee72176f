// Puts TLS before a server on this machine: storefronts call `https://` whatever their settings say.
//
//   node tls.mjs <port to listen on> <port of the server> <folder for the certificates>
//
// Makes an authority of its own at the first start; `ca.pem` in the folder is what clients trust, by
// NODE_EXTRA_CA_CERTS. Needs `openssl`.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { createServer } from 'node:tls';

const [port, target, folder] = process.argv.slice(2);
if (!folder) {
  console.error('usage: node tls.mjs <port> <port of the server> <folder for the certificates>');
  process.exit(1);
}

const path = (name) => join(folder, name);
const openssl = (...args) => execFileSync('openssl', args, { stdio: ['ignore', 'ignore', 'pipe'] });
if (!existsSync(path('server.pem'))) {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  openssl('req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '30', '-subj', '/CN=Local tests',
    '-addext', 'basicConstraints=critical,CA:TRUE', '-addext', 'keyUsage=critical,keyCertSign,cRLSign',
    '-keyout', path('ca.key'), '-out', path('ca.pem'));
  openssl('req', '-newkey', 'rsa:2048', '-nodes', '-subj', '/CN=localhost',
    '-keyout', path('server.key'), '-out', path('server.csr'));
  writeFileSync(path('server.ext'), 'subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth\n');
  openssl('x509', '-req', '-days', '30', '-in', path('server.csr'), '-CA', path('ca.pem'),
    '-CAkey', path('ca.key'), '-CAcreateserial', '-extfile', path('server.ext'), '-out', path('server.pem'));
}

const certificate = { key: readFileSync(path('server.key')), cert: readFileSync(path('server.pem')) };
createServer({ ...certificate, ALPNProtocols: ['http/1.1'] }, (client) => {
  const server = connect(Number(target), '127.0.0.1');
  // One side's end is the other's; who ended it and why is of no interest here.
  for (const [from, to] of [[client, server], [server, client]]) {
    from.on('error', () => to.destroy()).on('close', () => to.destroy()).pipe(to);
  }
}).listen(Number(port), '127.0.0.1', () => {
  console.log(`https://localhost:${port} is http://127.0.0.1:${target}; trust ${path('ca.pem')}`);
});
