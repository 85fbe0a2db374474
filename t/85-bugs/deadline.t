# A deadline that passes while the gateway waits for others: the provider is
# not blamed, and who waits behind does not wait for it.

use lib 't/lib';
use Test::LLM;

my $up = Test::LLM::Upstream->new;
my $gw = Test::LLM::Gateway->new(vars => { UP => $up->port }, conf => <<'EOC')->start;
    llm_zone t:4m;
    log_format llm '$status|$llm_error|$llm_status_class|$llm_attempts';
    access_log %%DIR%%/llm.log llm;
    llm_provider a { dialect openai; base_url http://127.0.0.1:%%UP%%/v1; breaker failures=2 min=1; }
    llm_provider q { dialect openai; base_url http://127.0.0.1:%%UP%%/q/v1; breaker off; inflight 1 queue=5 wait=20s; }
    server {
        listen 127.0.0.1:%%PORT%%;
        lingering_close always;
        location /d/ { llm_retry 3 deadline=400ms; llm_pass a; }
        location /q/ { llm_retry off deadline=400ms; llm_pass q; }
        location /v1/ { llm_retry off; llm_pass a; }
        location /hold/ { llm_retry off; llm_pass q; }
    }
EOC

my $path = '/v1/chat/completions';
my $body = chat_body('m', x => 'y' x 600);

# ---- a client that takes its time with the body --------------------------------------

$up->on('/*' => ok_chat('fine'));

for (1 .. 4) {
    my ($c) = start_all($gw, [ POST => "/d$path", {}, $body, hold => 300 ]);
    run_all(0.5, $c);
    $c->send_rest;
    run_all(5, $c);
    is($c->status, 504, 'a body that came after the deadline');
    is($c->header('x-llm-error'), 'gateway_deadline', '... is late');
}
is($up->count('/*'), 0, 'the provider was not asked');
is(chat($gw, 'm')->status, 200, '... and its breaker has not opened');

# ---- in the queue ------------------------------------------------------------------------

$up->reset;
$up->on('/q/*' => [ [ barrier => 'held' ], @{ ok_chat('held') } ], ok_chat('next'));

my ($holder) = start_all($gw, [ POST => "/hold$path", {}, $body ]);
run_all(5, $holder, sub { $up->waiting('held') });

# it gets its 504, and keeps its side of the connection open
my $late = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $gw->port);
print $late "POST /q$path HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: "
    . length($body) . "\r\n\r\n$body";
select undef, undef, undef, 0.2;
my ($next) = start_all($gw, [ POST => "/hold$path", {}, $body ]);
sysread $late, my $answer, 4096;
like($answer, qr/^HTTP\S+ 504/, 'a deadline in the queue');

$up->release('held');
my $since = now();
run_all(5, $holder, $next);
is($next->json && $next->json->{choices}[0]{message}{content}, 'next', 'who stood behind it is served');
cmp_ok(now() - $since, '<', 2, '... at once');

close $late;
finish();
