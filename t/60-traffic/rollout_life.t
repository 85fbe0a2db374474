# The life of a rollout: steps, soak, completion; and what kills, reloads and
# restarts in the middle of it do to it: nothing.

use lib 't/lib';
use Test::LLM;

my $split = <<'EOS';
    llm_split s { sticky $http_x_user; variant blue blue 100%; variant green green 0%;
                  rollout green steps=10%,50%,100% bake=400ms max_bake=60s soak=400ms min_samples=5 rest=60s;
                  rollback error_rate>5% for=200ms window=600ms min=5;
                  webhook http://127.0.0.1:%%UP%%/hook; }
    llm_split flip { variant blue blue 100%; variant green green 0%;
                  rollout green steps=0%,100% bake=400ms max_bake=60s soak=60s min_samples=5;
                  rollback error_rate>5% for=200ms window=600ms min=5; }
EOS

my $up = Test::LLM::Upstream->new;
my $gw = Test::LLM::Gateway->new(vars => { UP => $up->port }, workers => 2, conf => <<"EOC")->start;
    llm_zone t:32m;
    llm_state %%DIR%%/state;
    llm_provider blue  { dialect openai; base_url http://127.0.0.1:%%UP%%/blue/v1; breaker off; }
    llm_provider green { dialect openai; base_url http://127.0.0.1:%%UP%%/green/v1; breaker off; }
$split
    server {
        listen 127.0.0.1:%%PORT%%;
        llm_retry off;
        location /s/     { llm_pass s; }
        location /flip/  { llm_pass flip; }
        location /admin/ { llm_admin; }
    }
EOC

$gw->expect_log(qr/exited on signal 9/);

sub doc_of { return $gw->get("/admin/splits/$_[0]")->json || {} }
sub state_of { return doc_of($_[0])->{state} // '' }
sub weight { return doc_of($_[0])->{weights}{green} }

sub verb {
    my ($name, $verb, %body) = @_;
    my $r = $gw->http(POST => "/admin/splits/$name/$verb", { 'Content-Type' => 'application/json' }, to_json(\%body));
    return $r->status == 200 ? 'done' : $r->json->{error}{code};
}

my $user = 0;
my @bad;

# ten requests of ten users, none of which may fail
sub ask {
    my ($name) = @_;
    for (1 .. 10) {
        my $r = chat($gw, 'm', path => "/$name/v1/chat/completions", headers => { 'X-User' => ++$user });
        push @bad, $r->status if $r->status != 200;
    }
}

sub drive_to {
    my ($name, $state, $seconds) = @_;
    return wait_for(sub { ask($name); state_of($name) eq $state }, $seconds || 20);
}

# kills every worker, one after the other: one of them had the lead
sub kill_all {
    for my $pid ($gw->workers) {
        kill 'KILL', $pid;
        wait_for(sub { my @now = $gw->workers; @now == 2 && !grep { $_ == $pid } @now }, 10);
    }
}

sub healthy { $up->reset; $up->on('/blue/*' => ok_chat('x')); $up->on('/green/*' => ok_chat('x')); $up->on('/hook' => reply(204, {}, '')) }

# ---- all the way ---------------------------------------------------------------------------

healthy();
is(verb('s', 'start'), 'done', 'started');
is(weight('s'), 10, 'at its first step');
ok(drive_to('s', 'completed', 30), 'it completes') or diag to_json(doc_of('s'));
is_deeply(\@bad, [], 'nobody noticed');
ok(wait_for(sub { $up->count('/hook') >= 4 }, 10), 'the webhook was told');
my @told = sort { $a->{time} cmp $b->{time} } map { from_json($_->{body}) } $up->received('/hook');
is(join(' ', map { "$_->{event}:$_->{weights}{green}" } @told), 'step:50 step:100 soak:100 complete:100', '... of every step, once');
is(verb('s', 'start'), 'is_baseline', 'once');
is(verb('s', 'abort'), 'done', 'and back');
is(state_of('s') . weight('s'), 'rolled_back0', '... by one command');
is(verb('s', 'start'), 'resting', '... to stay');

# ---- no data is no success -----------------------------------------------------------------

is(verb('s', 'start', force => JSON::PP::true()), 'done', 'without traffic');
Time::HiRes::sleep(1.2);
is(weight('s'), 10, '... it stays where it is');
ok(drive_to('s', 'soaking') || state_of('s') eq 'completed', '... until there is some');
ok(drive_to('s', 'completed'), '... and is completed');
is(verb('s', 'swap'), 'done', 'and back');

# ---- killed, reloaded and restarted in the middle of each state ----------------------------

sub through {
    my ($what, $do) = @_;

    subtest "$what" => sub {
        healthy();
        is(verb('s', 'start', force => JSON::PP::true()), 'done', 'started');
        $do->();
        my $doc = doc_of('s');
        like(join(" ", $doc->{state}, $doc->{rollout}{why} || ""), qr/^(?:progressing|soaking|completed|paused restart)\b/, 'it goes on, or was down for longer than a bake') or diag to_json($doc);

        is(verb('s', 'pause'), 'done', 'paused') if state_of('s') ne 'completed';
        my $before = doc_of('s');
        $do->();
        ask('s');
        my $after = doc_of('s');
        is("$after->{state} $after->{weights}{green} $after->{version}",
           "$before->{state} $before->{weights}{green} $before->{version}", 'stays as it was');

        is(verb('s', 'resume'), 'done', 'resumed') if $before->{state} eq 'paused';
        ok(drive_to('s', 'completed', 40), 'completed') or diag to_json(doc_of('s'));
        $do->();
        is(state_of('s'), 'completed', '... for good');
        is(weight('s'), 100, '... with its weight');
        is(verb('s', 'swap'), 'done', 'and back');

        # it goes bad, and the one who was to see it dies

        is(verb('s', 'start', force => JSON::PP::true()), 'done', 'a new start');
        $up->on('/green/*' => reply(500, {}, '{"error":{"message":"oops"}}'));
        ask('s') for 1 .. 2;
        $do->();
        @bad = ();
        ok(drive_to('s', 'rolled_back'), 'rolled back');
        $do->();
        is(state_of('s'), 'rolled_back', '... for good');
        is(weight('s'), 0, '... weight 0');
        is(verb('s', 'start'), 'resting', '... it rests');
        my $n = $up->count('/green/*');
        @bad = ();
        ask('s') for 1 .. 3;
        is($up->count('/green/*'), $n, '... nobody is sent there');
        is_deeply(\@bad, [], '... everybody is served');
        is($gw->http(PUT => '/admin/splits/s', { 'Content-Type' => 'application/json' },
                     to_json({ version => doc_of('s')->{version}, weights => { blue => 90, green => 10 } }))->status,
           409, '... not even by hand');
    };
}

through('workers are killed', \&kill_all);
through('the configuration is reloaded', sub { $gw->reload });
through('nginx is restarted', sub { $gw->quit; $gw->start });

# ---- blue and green ------------------------------------------------------------------------

healthy();
is(verb('flip', 'start'), 'done', 'a preview');
ask('flip') for 1 .. 5;
is(weight('flip'), 0, '... without weight');
is($up->count('/green/*'), 0, '... and traffic');
is(verb('flip', 'promote'), 'done', 'the flip');
ask('flip');
is($up->count('/green/*'), 10, '... moves everybody');
$up->on('/green/*' => reply(500, {}, '{"error":{"message":"oops"}}'));
ok(drive_to('flip', 'rolled_back'), 'it breaks, and flips back');
is(weight('flip'), 0, '... wholly');

# ---- an abort in the middle of a promotion -------------------------------------------------

healthy();
for my $round (1 .. 10) {
    verb('s', 'start', force => JSON::PP::true());
    my $call = sub { [ POST => "/admin/splits/s/$_[0]", { 'Content-Type' => 'application/json' }, '{}' ] };
    my @both = start_all($gw, $call->('promote'), $call->('abort'), $call->('promote'));
    run_all(10, @both);
    is($both[1]->status, 200, "abort $round is never refused") or diag $both[1]->body;
    is(state_of('s') . weight('s'), 'rolled_back0', '... and wins');
}

finish();
