# The harness itself: what it must catch, planted on purpose, in plain nginx.

use lib 't/lib';
use Test::LLM;

sub plain {
    my ($server, %o) = @_;
    return Test::LLM::Gateway->new(module => 0, %o, conf => <<"EOC");
        server {
            listen 127.0.0.1:%%PORT%%;
            $server
        }
EOC
}

# planted failures are found, and then taken as seen
sub found {
    my ($gw, $re, $name) = @_;
    my @problems = $gw->problems;
    ok((grep { /$re/ } @problems), $name) or diag explain \@problems;
}

my $gw = plain('location / { return 200 "hello"; }')->start;
my $r = $gw->get('/');
is($r->status, 200, 'nginx serves');
is($r->body, 'hello', 'body');
ok($r->complete, 'complete answer');
is_deeply([ $gw->problems ], [], 'nothing wrong in a quiet test');

$gw = plain('location / { return 200 "$http_x"; }',
            env => { MY_API_KEY => 'sk-planted-1' })->start;
$gw->get('/', { X => 'sk-planted-1' });
found($gw, qr/secret in an answer/, 'a secret in an answer is found');

$gw = plain('location / { return 204; }',
            env => { MY_API_KEY => 'sk-planted-2' })->start;
$gw->get('/sk-planted-2');
found($gw, qr/secret in access\.log/, 'a secret in the access log is found');

$gw = plain('location / { root %%DIR%%/none; }',
            env => { MY_API_KEY => 'sk-planted-3' })->start;
$gw->get('/sk-planted-3');
found($gw, qr/secret in error\.log/, 'a secret in the error log is found');

$gw = plain('location / { return 200; }')->start;
open my $log, '>>', $gw->dir . '/error.log' or die $!;
print $log "2026/11/20 10:00:00 [alert] 1#1: planted\n";
close $log;
found($gw, qr/planted/, 'an alert is found');

$gw = plain('location / { return 200; }')->start;
$gw->expect_log(qr/planted/);
open $log, '>>', $gw->dir . '/error.log' or die $!;
print $log "2026/11/20 10:00:00 [alert] 1#1: planted\n";
close $log;
is_deeply([ $gw->problems ], [], 'an announced alert is not');

# the sanitizer is not to make a report of it
{
    local $ENV{ASAN_OPTIONS} = ($ENV{ASAN_OPTIONS} // '') . ':handle_segv=0';
    $gw = plain('location / { return 200; }')->start;
}
my ($worker) = $gw->workers;
kill 'SEGV', $worker;
wait_for(sub { my ($w) = $gw->workers; $w && $w != $worker });
found($gw, qr/exited on signal 11/, 'a dead worker is found');

$gw = plain('location / { return 200; }')->start;
kill 'KILL', $gw->pid, $gw->workers;
wait_for(sub { $gw->_reap });
found($gw, qr/exit code/, 'an exit code is found');

# an answer that never comes
my $up = Test::LLM::Upstream->new;
$up->on('/*' => [ 'hang' ]);
$gw = plain('location / { proxy_pass http://127.0.0.1:' . $up->port . '; }')
    ->start;
$r = $gw->get('/', {}, undef, timeout => 0.3);
is($r->error, 'timeout', 'a request without an answer times out');
my $start = now();
kill 'STOP', $gw->workers;
ok(!$gw->quit(0.3), 'a worker that does not end is killed');
found($gw, qr/did not end on QUIT/, '... and reported');

# configuration errors
$gw = plain('nonsense on;');
my ($code, $out) = $gw->test_conf;
isnt($code, 0, 'nginx -t fails');
like($out, qr/unknown directive "nonsense" in \S+:\d+/, '... with its message');

# reload
$gw = plain('location / { return 200 one; }')->start;
is($gw->get('/')->body, 'one', 'before the reload');
ok($gw->reload(<<'EOC'), 'reload is taken');
    server { listen 127.0.0.1:%%PORT%%; location / { return 200 two; } }
EOC
is($gw->get('/')->body, 'two', 'after the reload');
$gw->expect_log(qr/unknown directive "bad"/);
ok(!$gw->reload('bad;'), 'a bad configuration is not');

# bytes as they are
$r = $gw->raw("GET / HTTP/1.0\r\n\r\n");
like($r->wire, qr{^HTTP/1\.1 200.*two$}s, 'raw bytes');

finish();
