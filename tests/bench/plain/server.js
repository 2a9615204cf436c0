// What a Node handler without a framework does for the same request.
'use strict';
const http = require('http');

http.createServer((request, response) => {
    const name = request.url.slice(request.url.lastIndexOf('/') + 1);
    response.writeHead(200, {'Content-Type': 'text/plain; charset=utf-8'});
    response.end(`Hello, ${decodeURIComponent(name)}!\n`);
}).listen(Number(process.env.FUNCTIONS_CUSTOMHANDLER_PORT), '127.0.0.1');
