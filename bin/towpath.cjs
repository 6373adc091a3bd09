#!/usr/bin/env node
// The command `towpath` of the npm package. It is written so that every version of Node can read it: one that is too old
// must say so, and not fail on syntax that it does not know.
'use strict';

var LEAST = [24, 11];
var GOOD = '24.22.1 or 26.12.1';
var found = process.versions.node.split('.').map(Number);
var isBun = 'bun' in process.versions;

if (isBun || found[0] > LEAST[0] || (found[0] === LEAST[0] && found[1] >= LEAST[1])) {
  require('./start.cjs');
} else {
  process.stderr.write(
    'towpath: needs Node.js ' + LEAST.join('.') + ' or newer; this is ' + process.version + ' (' + process.execPath + ')\n' +
      '  Install Node.js ' + GOOD + ' or later from https://nodejs.org/en/download, or with a version manager: nvm install 24\n' +
      '  Or take the executable or the .deb of towpath, which need no Node: docs/install.md\n'
  );
  process.exit(1);
}
