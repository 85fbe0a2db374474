# Style, purity and strict warnings: what `make check` looks at.

use strict;
use warnings;

use Test::More tests => 1;

my $out = qx(t/tools/check.sh 2>&1);
is($?, 0, 'make check') or diag $out;
