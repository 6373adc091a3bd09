// A file of its own: old versions of Node cannot read `import()`.
'use strict';

var fs = require('node:fs');
var path = require('node:path');

// A checkout that nobody has built has the sources, which Node 24 and Bun run as they are.
var built = path.join(__dirname, '..', 'dist', 'main.js');
import(fs.existsSync(built) ? '../dist/main.js' : '../src/main.ts');
