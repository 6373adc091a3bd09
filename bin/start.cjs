// A file of its own: old versions of Node cannot read `import()`.
'use strict';

var fs = require('node:fs');
var path = require('node:path');

// An archive of `npm run pack` has dist/. A clone and an installation from a git URL have only the sources, until they are compiled.
if (fs.existsSync(path.join(__dirname, '..', 'dist', 'main.js'))) {
  import('../dist/main.js');
} else {
  require('./run-sources.cjs');
  import('../src/main.ts');
}
