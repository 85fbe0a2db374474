# The client goes away at each stage: the provider's connection closes, nothing
# is sent any more, nothing leaks.

use lib 't/lib';
use Test::LLM;

my $up = Test::LLM::Upstream->new;
my ($hole, @hole) = black_hole();
my $dns = Test::LLM::Dns->new;
$dns->set('mute.test', silent => 1);
my $gw = Test::LLM::Gateway->new(vars => { UP => $up->port, HOLE => $hole, DNS => $dns->port },
    env => { KEY_A => 'sk-alpha-00001' }, conf => <<'EOC')->start;
    llm_zone t:8m;
    resolver 127.0.0.1:%%DNS%% ipv6=off;
    client_max_body_size 100m;
    log_format llm '$status|$llm_status_class|$llm_attempts|$llm_output_tokens';
    access_log %%DIR%%/llm.log llm;
    llm_key_pool k { key env:KEY_A; cooldown off; }
    llm_provider a { dialect openai; base_url http://127.0.0.1:%%UP%%/a/v1; keys k; breaker off; }
    llm_provider hole { dialect openai; base_url http://127.0.0.1:%%HOLE%%/v1; breaker off; }
    llm_provider mute { dialect openai; base_url http://mute.test:1/v1; breaker off; }
    llm_provider slow { dialect mock; latency 30s; }
    llm_provider mock { dialect mock; chunk_interval 200ms; }
    llm_prompt p { user "{text}"; set model x; answer json; }
    server {
        listen 127.0.0.1:%%PORT%%;
        llm_retry 3 backoff=30s..60s budget=100%;
        location /a/ { llm_pass a; }
        location /hole/ { llm_pass hole; }
        location /mute/ { llm_pass mute; }
        location /slow/ { llm_pass slow; }
        location /mock/ { llm_pass mock; }
        location = /analyze { llm_analyze p; llm_pass a; }
        location = /up { return 204; }
    }
    server { listen 127.0.0.1:%%PORT_H2%% http2; location /a/ { llm_pass a; } }
EOC

my $true = JSON::PP::true();
my $path = '/v1/chat/completions';
sub begin { my ($p, $body, %o) = @_; my ($c) = start_all($gw, [ POST => "/$p$path", {}, $body // chat_body('m'), %o ]); return $c }
sub lines { split /\n/, $gw->access('llm.log') }

sub fds { my ($pid) = $gw->workers; return $gw->fd_count($pid) }
$gw->get('/up');
my $idle = fds();
my $seen = 1;

# the gateway forgets the request within a moment
sub gone {
    my ($name, $c, $how) = @_;
    $c->abort($how);
    ok(wait_for(sub { lines() > $seen }, 5), "$name: the request ends");
    my $line = (lines())[-1];
    like($line, qr/^499\|/, '... as 499') or diag $line;
    $seen = lines();
}

sub closed {
    ok(wait_for(sub { !grep { !$_->{closed} } $up->connections }, 3), '... the provider connection closes');
}

for my $how ('', 'hard') {
    my $kind = $how ? 'reset' : 'close';

    # while the body is sent; nginx itself says 400 then
    $up->reset;
    my $c = begin('a', undef, hold => 180);
    run_all(0.1, $c);
    $c->abort($how);
    ok(wait_for(sub { lines() > $seen }), "$kind: sending its body: the request ends");
    $seen = lines();
    is($up->count('/a/*'), 0, '... and nothing was sent');
    $up->reset;

    # while names are looked up, while connecting
    $c = begin('mute');
    run_all(0.2, $c);
    gone("$kind: name lookup", $c, $how);
    $c = begin('hole');
    run_all(0.2, $c);
    gone("$kind: connecting", $c, $how);

    # while a large body goes out
    $up->on('/a/*' => [ 'early', 'stop-reading', 'hang' ]);
    $c = begin('a', chat_body('m', x => 'y' x 8_000_000));
    run_all(3, $c, sub { $up->count });
    gone("$kind: sending", $c, $how);
    $up->close_all;
    $up->reset;

    # before the head, before the first content, in the stream
    $up->on('/a/*' => [ [ barrier => 'head' ] ]);
    $c = begin('a');
    run_all(3, $c, sub { $up->waiting('head') });
    gone("$kind: before the head", $c, $how);
    closed();

    $up->reset;
    $up->on('/a/*' => [ 'begin', [ barrier => 'first' ] ]);
    $c = begin('a', chat_body('m', stream => $true));
    run_all(3, $c, sub { $up->waiting('first') });
    gone("$kind: before the first content", $c, $how);
    closed();

    $up->reset;
    $up->on('/a/*' => ok_stream([ 'one', [ barrier => 'mid' ], 'two' ]));
    $c = begin('a', chat_body('m', stream => $true));
    run_all(3, $c, sub { $c->body =~ /one/ });
    $c->abort($how);
    ok(wait_for(sub { lines() > $seen }), "$kind: in the stream: the request ends");
    $seen = lines();
    closed();

    # in a stream that never pauses, with a client that stopped reading first
    $up->reset;
    $up->on('/a/*' => ok_stream([ [ repeat => '500 event {"choices":[{"index":0,"delta":{"content":"' . ('flood ' x 20_000) . '"}}]}' ], [ 'hang' ] ]));
    $c = begin('a', chat_body('m', stream => $true), rcvbuf => 4096);
    run_all(3, $c, sub { $c->body =~ /flood/ });
    $c->deaf;
    my $sent = 0;
    wait_for(sub { my ($l) = reverse $up->connections; my $now = $l->{sent} // 0; my $same = $now == $sent && $now; $sent = $now; select undef, undef, undef, 0.1; $same }, 5);
    cmp_ok($sent, '<', 50_000_000, "$kind: a client that does not read stops the provider ($sent bytes)");
    $c->abort($how);
    ok(wait_for(sub { lines() > $seen }), '... and when it leaves, the request ends');
    $seen = lines();
    closed();

    # while a body is collected
    $up->reset;
    $up->on('/a/*' => [ [ raw => "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 5000\r\n\r\n{\"choices\":" ], [ barrier => 'collect' ] ]);
    ($c) = start_all($gw, [ POST => '/analyze', {}, '{"text":"x"}' ]);
    run_all(3, $c, sub { $up->waiting('collect') });
    gone("$kind: while an answer is collected", $c, $how);
    closed();

    # between two attempts; a backoff is random, down to nothing, this is not
    $up->reset;
    $up->on('/a/*' => reply(500, { 'Retry-After' => 15 }, '{"error":{"message":"x"}}'));
    $c = begin('a');
    run_all(3, $c, sub { $up->count });
    run_all(0.2, $c);
    gone("$kind: in the backoff", $c, $how);
    is($up->count('/a/*'), 1, '... and nothing is sent after it');

    # the built-in mock
    $c = begin('slow');
    run_all(0.2, $c);
    gone("$kind: waiting for the mock", $c, $how);
    $c = begin('mock', chat_body('m', stream => $true));
    run_all(3, $c, sub { $c->body =~ /data/ });
    $c->abort($how);
    ok(wait_for(sub { lines() > $seen }), "$kind: in a stream of the mock: the request ends");
    $seen = lines();

    # after the last byte
    $up->reset;
    $up->on('/a/*' => ok_chat('fine'));
    $c = chat($gw, 'm', path => "/a$path");
    is($c->status, 200, "$kind: all is well afterwards");
    wait_for(sub { lines() > $seen });
    $seen = lines();
}

# HTTP/2: the stream is reset
$up->reset;
$up->on('/a/*' => [ [ barrier => 'h2' ] ]);
my $h2 = $gw->port('H2');
my $pid = fork();
if (!$pid) {
    open STDOUT, '>', '/dev/null'; open STDERR, '>', '/dev/null';
    exec 'curl', '-s', '--http2-prior-knowledge', '-H', 'Content-Type: application/json', '-d', chat_body('m'), "http://127.0.0.1:$h2/a$path"
        or POSIX::_exit(1);
}
ok(wait_for(sub { $up->waiting('h2') }), 'HTTP/2: under way');
kill 'KILL', $pid;
waitpid $pid, 0;
closed();
ok(wait_for(sub { lines() > $seen }), '... the request ends');

# nothing is left: descriptors are back (idle provider connections may be kept)
$up->close_all;
ok(wait_for(sub { fds() <= $idle + 1 }, 5), 'descriptors are back') or diag "$idle before, " . fds() . ' now';

finish();
