# Many at once, reloads and dying workers: every request in flight has its
# answer, or its connection visibly broke.

use lib 't/lib';
use Test::LLM;

my $up = Test::LLM::Upstream->new;
my $gw = Test::LLM::Gateway->new(vars => { UP => $up->port }, workers => 2,
    env => { KEY_A => 'sk-alpha-00001' }, main => 'worker_shutdown_timeout 20s;', conf => <<'EOC')->start;
    llm_zone t:8m;
    llm_provider a { dialect openai; base_url http://127.0.0.1:%%UP%%/a/v1; key env:KEY_A; }
    llm_provider m { dialect mock; latency 20ms; jitter 10ms; chunk_interval 5ms; }
    server {
        listen 127.0.0.1:%%PORT%% backlog=4096;
        location /a/ { llm_pass a; }
        location /m/ { llm_pass m; }
        location /am/ { llm_pass a m; }
    }
EOC
my $true = JSON::PP::true();
my $path = '/v1/chat/completions';

# ---- 1000 streams side by side -----------------------------------------------------------

$up->on('/a/*' => ok_stream([ 'one', [ barrier => 'all' ], ' two', ' three' ], usage => { prompt_tokens => 1, completion_tokens => 3, total_tokens => 4 }));
my @c = start_all($gw, map { [ POST => "/a$path", {}, chat_body('m', stream => $true) ] } 1 .. 1000);
run_all(60, @c, sub { $up->waiting('all') == 1000 });
is($up->waiting('all'), 1000, '1000 streams under way');
$up->release('all');
run_all(60, @c);
is((grep { $_->complete && Test::LLM::Sse::text(Test::LLM::Sse::events($_)) eq 'one two three' } @c), 1000, '... all finish');
is((grep { Test::LLM::Sse::done(Test::LLM::Sse::events($_)) } @c), 1000, '... with [DONE]');

# ---- reload under load --------------------------------------------------------------------

$up->reset;
$up->on('/a/*' => ok_chat('fine'));
my (@open, $ok, $bad) = ();
my @failed;
my $stop = now() + 4;
my $reloads = 0;
my $next = now() + 0.4;
while (now() < $stop || @open) {
    while (@open < 32 && now() < $stop) {
        my $p = @open % 3 ? 'a' : 'm';
        push @open, start_all($gw, [ POST => "/$p$path", {}, chat_body('m', @open % 2 ? (stream => $true) : ()) ]);
    }
    run_all(10, @open, sub { grep { $_->{done} } @open });
    for my $c (grep { $_->{done} } @open) {
        if ($c->status == 200 && $c->complete) { $ok++ } else { push @failed, $c }
    }
    @open = grep { !$_->{done} } @open;
    if (now() > $next && now() < $stop) {
        kill 'HUP', $gw->pid;
        $reloads++;
        $next = now() + 0.4;
    }
}
cmp_ok($reloads, '>=', 5, "$reloads reloads");
cmp_ok($ok, '>', 200, "$ok requests answered");
is(scalar @failed, 0, 'no failed request') or diag map { ($_->status, ' ', $_->error // '', ' ', $_->wire, "\n") } @failed[0 .. ($#failed > 2 ? 2 : $#failed)];

# ---- a stream and a backoff outlive a reload -------------------------------------------------

$up->reset;
$up->on('/a/*' => ok_stream([ 'one', [ barrier => 'old' ], ' two' ]));
@c = start_all($gw, map { [ POST => "/a$path", {}, chat_body('m', stream => $true) ] } 1 .. 20);
run_all(10, @c, sub { $up->waiting('old') == 20 });
$gw->reload;
$gw->reload;
$up->release('old');
run_all(10, @c);
is((grep { Test::LLM::Sse::done(Test::LLM::Sse::events($_)) } @c), 20, 'streams begun before a reload end well after it');

# ---- a worker is killed ----------------------------------------------------------------------

$gw->expect_log(qr/exited on signal 9/);
$up->reset;
$up->on('/a/*' => [ [ barrier => 'kill' ], @{ ok_chat('fine') } ]);
@c = start_all($gw, map { [ POST => "/a$path", {}, chat_body('m') ] } 1 .. 40);
run_all(10, @c, sub { $up->waiting('kill') == 40 });
my ($victim) = $gw->workers;
kill 'KILL', $victim;
wait_for(sub { my @w = $gw->workers; @w >= 2 && !grep { $_ == $victim } @w });
$up->release('kill');
run_all(10, @c);
my $good = grep { $_->status == 200 && $_->complete } @c;
my $broken = grep { $_->error && !$_->complete } @c;
is($good + $broken, 40, "a killed worker: $good answered, $broken visibly broken, nothing else");
$up->reset;
$up->on('/a/*' => ok_chat('fine'));
is((grep { $_->status == 200 } $gw->many(10, map { [ POST => "/a$path", {}, chat_body('m') ] } 1 .. 50)), 50, '... and all is well afterwards');

finish();
