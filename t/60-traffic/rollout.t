# Variants that misbehave are rolled back by the trigger that is meant for it.
# What the provider received is the judge of when it ended.

use lib 't/lib';
use Test::LLM;

my $up = Test::LLM::Upstream->new;
my $gw = Test::LLM::Gateway->new(vars => { UP => $up->port, DEAD => silent_port() }, workers => 2, conf => <<'EOC')->start;
    llm_zone t:32m;
    llm_provider blue  { dialect openai; base_url http://127.0.0.1:%%UP%%/blue/v1; breaker off; }
    llm_provider green { dialect openai; base_url http://127.0.0.1:%%UP%%/green/v1; breaker off; timeout first=200ms idle=200ms header=200ms total=300ms; }
    llm_provider late  { dialect openai; base_url http://127.0.0.1:%%UP%%/green/v1; breaker off; }
    llm_prompt p { system "Answer."; user "{text}"; set model m; answer json; }
    llm_split errors { variant blue blue 50%; variant green green 50%; fallback green blue;
                       rollback error_rate>5% for=300ms window=1s min=5;
                       webhook http://127.0.0.1:%%UP%%/hook; }
    llm_split hangs  { variant blue blue 50%; variant green green 50%; fallback green blue;
                       rollback error_rate>5% for=300ms window=1s min=5; }
    llm_split cuts   { variant blue blue 50%; variant green green 50%;
                       rollback error_rate>5% for=300ms window=1s min=5; }
    llm_split json   { variant blue blue 50%; variant green green 50%;
                       rollback error_rate>90% for=300ms window=1s min=100;
                       rollback json_invalid>2% for=300ms window=1s min=10; }
    llm_split slow   { variant blue blue 50%; variant green late 50%;
                       rollback error_rate>5% for=300ms window=1s min=5;
                       rollback p95_rise>150ms for=300ms window=2s min=10; }
    llm_split dear   { variant blue blue 50%; variant green paid 50%;
                       rollback cost_per_request>0.001 for=300ms window=1s min=5; }
    llm_model paid   { provider green; id paid; price input=100 output=100; }
    llm_split burn   { variant blue blue 50%; variant green green 50%;
                       rollback error_rate>5% for=10s window=1s min=5;
                       rollback fast_burn>=50% for=200ms window=600ms min=5;
                       webhook http://127.0.0.1:%%DEAD%%/secret-path; }
    llm_split refuse { variant blue blue 50%; variant green green 50%;
                       rollout green steps=50%,100% bake=60s min_samples=1;
                       rollback upstream_4xx_excess>5% for=300ms window=2s min=10; }
    llm_split dry    { variant blue blue 50%; variant green green 50%;
                       rollback error_rate>5% for=300ms window=1s min=5 action=log; }
    llm_split good   { variant blue blue 50%; variant green green 50%;
                       rollback error_rate>5% for=100ms window=600ms min=5;
                       rollback json_invalid>2% for=100ms window=600ms min=5;
                       rollback p95_rise>2s for=100ms window=600ms min=5; }
    server {
        listen 127.0.0.1:%%PORT%%;
        llm_retry off;
        location /errors/ { llm_pass errors; }
        location /hangs/  { llm_pass hangs; }
        location /cuts/   { llm_pass cuts; }
        location /slow/   { llm_pass slow; }
        location /dear/   { llm_pass dear; }
        location /burn/   { llm_pass burn; }
        location /refuse/ { llm_pass refuse; }
        location /dry/    { llm_pass dry; }
        location /good/   { llm_pass good; }
        location = /json  { llm_analyze p; llm_pass json; }
        location /admin/  { llm_admin; }
    }
EOC

sub split_of { return $gw->get("/admin/splits/$_[0]")->json }
sub state_of { return split_of($_[0])->{state} // '' }

sub verb {
    my ($split, $verb, %body) = @_;
    return $gw->http(POST => "/admin/splits/$split/$verb", { 'Content-Type' => 'application/json' }, to_json(\%body));
}

sub ask {
    my ($split, %o) = @_;
    return $gw->post('/json', to_json({ text => 'x' })) if $split eq 'json';
    return chat($gw, 'm', path => "/$split/v1/chat/completions", %o);
}

# the audit entries of a split, oldest first
sub audit_of {
    my ($split) = @_;
    my $entries = $gw->get('/admin/audit?n=200')->json;
    $entries = $entries->{entries} // $entries->{audit} if ref $entries eq 'HASH';
    return grep { ($_->{split} // '') eq $split } @$entries;
}

sub seconds {
    my ($time) = @_;
    require Time::Local;
    my ($y, $mo, $d, $h, $mi, $s) = $time =~ /^(\d+)-(\d+)-(\d+)T(\d+):(\d+):([\d.]+)Z$/;
    return Time::Local::timegm(0, $mi, $h, $d, $mo - 1, $y) + $s;
}

# asks until a split is rolled back, or for so long; how the clients fared
sub drive {
    my ($split, $done, %o) = @_;
    my (@answers, $until);
    $until = now() + 20 * $Test::LLM::Gateway::SLOW;

    while (now() < $until) {
        push @answers, map { ask($split, %o) } 1 .. 5;
        last if $done->();
    }

    return @answers;
}

sub rolled_back { my ($split) = @_; return sub { state_of($split) eq 'rolled_back' } }

# who did it, and that it was the end of the traffic there
sub ended {
    my ($split, $condition, %o) = @_;

    subtest "$split: rolled back by $condition" => sub {
        my $doc = split_of($split);
        is($doc->{state}, 'rolled_back', 'rolled back') or diag to_json($doc);
        is($doc->{weights}{green}, 0, '... weight 0');
        is($doc->{weights}{blue}, 100, '... the baseline has everything');

        my ($entry) = grep { $_->{action} eq 'rollback' } audit_of($split);
        my $reason = $entry->{reason} // {};
        is($entry->{actor}, 'controller', 'audited');
        is($reason->{trigger}, $condition, '... with the condition');
        cmp_ok($reason->{value}, '>', $reason->{threshold}, '... its value');
        cmp_ok($reason->{n}, '>', 0, '... and samples');
        like($gw->log, qr/\[error\].*split "$split": variant "green" was rolled back: .*\Q$condition\E/, '... and logged');

        my @at = map { $_->{at} } $up->received('/green/*');
        my $late = $at[-1] - seconds($entry->{time});
        note sprintf 'the last request: %.3f s after it', $late;
        cmp_ok($late, '<', 1, 'the last request came before');

        ask($split, %o) for 1 .. 20;
        is(scalar $up->received('/green/*'), scalar @at, '... and none since');
    };
}

sub usual { $up->reset; $up->on('/blue/*' => ok_chat('{"a":1}')) }

# ---- the canary fails ----------------------------------------------------------------------

usual();
$up->on('/hook' => reply(503, {}, ''), reply(204, {}, ''));
$up->on('/green/*' => reply(500, {}, '{"error":{"message":"oops"}}'));
my $began = now();
my @answers = drive('errors', rolled_back('errors'));
ended('errors', 'error_rate>5%');
is(scalar(grep { $_->status != 200 } @answers), 0, 'no client saw an error that the fallback could hide');
my ($first) = map { $_->{at} } $up->received('/green/*');
my ($entry) = grep { $_->{action} eq 'rollback' } audit_of('errors');
cmp_ok(seconds($entry->{time}) - $first, '>=', 0.29, 'not before its hold was over');

# the webhook: tried again after a 503
ok(wait_for(sub { $up->count('/hook') >= 2 }, 10), 'the webhook is told, twice as it failed once');
my ($hook) = ($up->received('/hook'))[-1];
my $told = from_json($hook->{body});
is($hook->{method}, 'POST', '... POST');
is($hook->{h}{'content-type'}, 'application/json', '... JSON');
is($told->{event}, 'rollback', '... event') or diag $hook->{body};
is("$told->{split} $told->{variant} $told->{state}", 'errors green rolled_back', '... split, variant, state');
is($told->{trigger}, 'error_rate>5%', '... trigger');
is($told->{weights}{green}, 0, '... weights');
cmp_ok($told->{value}, '>', 5, '... value');
like($told->{time}, qr/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/, '... time');
Time::HiRes::sleep(0.2);
is($up->count('/hook'), 2, '... and not again');

# ---- it hangs ------------------------------------------------------------------------------

usual();
$up->on('/green/*' => [ ['hang'] ]);
@answers = ();
ok(wait_for(sub {
    my @more = start_all($gw, map { [ POST => '/hangs/v1/chat/completions', {}, chat_body('m') ] } 1 .. 20);
    run_all(10, @more);
    push @answers, @more;
    state_of('hangs') eq 'rolled_back';
}, 20), 'it hangs');
ended('hangs', 'error_rate>5%');
is(scalar(grep { $_->status != 200 } @answers), 0, 'no client saw it');

# ---- it cuts its streams -------------------------------------------------------------------

usual();
$up->on('/blue/*' => ok_stream([ 'a', 'b' ]));
$up->on('/green/*' => [ @{ ok_stream([ 'a', 'b' ], finish => undef, done => 0) }, [ 'fin' ] ]);
drive('cuts', rolled_back('cuts'), stream => JSON::PP::true());
ended('cuts', 'error_rate>5%', stream => JSON::PP::true());

# ---- it answers with what is no JSON -------------------------------------------------------

usual();
$up->on('/green/*' => ok_chat('{"a":'));
drive('json', rolled_back('json'));
ended('json', 'json_invalid>2%');

# ---- it is slow ----------------------------------------------------------------------------

usual();
$up->on('/green/*' => [ [ pause => 400 ], @{ ok_chat('{"a":1}') } ]);
ok(wait_for(sub {
    run_all(10, start_all($gw, map { [ POST => '/slow/v1/chat/completions', {}, chat_body('m') ] } 1 .. 10));
    state_of('slow') eq 'rolled_back';
}, 30), 'it is slow');
ended('slow', 'p95_rise>150ms');

# ---- it is expensive, it burns, it refuses -------------------------------------------------

usual();
$up->on('/green/*' => ok_chat('{"a":1}'));
drive('dear', rolled_back('dear'));
ended('dear', 'cost_per_request>0.001');

usual();
$up->on('/green/*' => reply(503, {}, '{"error":{"message":"oops"}}'));
drive('burn', rolled_back('burn'));
ended('burn', 'fast_burn>=50%');

usual();
$up->on('/green/*' => reply(400, {}, '{"error":{"message":"bad","type":"invalid_request_error"}}'));
is(verb('refuse', 'start')->status, 200, 'a rollout');
drive('refuse', sub { state_of('refuse') eq 'paused' });
my $doc = split_of('refuse');
is($doc->{state}, 'paused', 'refusals of the provider pause it') or diag to_json($doc);
is($doc->{weights}{green}, 50, '... at its weight');
like($gw->log, qr/split "refuse": variant "green" stays as it is.*upstream_4xx_excess>5%/, '... in the log');

usual();
$up->on('/green/*' => reply(500, {}, '{"error":{"message":"oops"}}'));
drive('dry', sub { $gw->log =~ /split "dry": variant "green" misbehaves/ });
like($gw->log, qr/split "dry": variant "green" misbehaves: .*error_rate>5%/, 'action=log says so');
is(split_of('dry')->{weights}{green}, 50, '... and does nothing');

# ---- a healthy one is left alone -----------------------------------------------------------

usual();
$up->on('/green/*' => ok_chat('{"a":1}'));
my $until = now() + 2;
drive('good', sub { now() > $until });
is(state_of('good'), 'none', 'a healthy variant stays') or diag to_json(split_of('good'));
cmp_ok(scalar $up->received('/green/*'), '>', 20, '... with traffic');

# ---- nobody listens ------------------------------------------------------------------------

ok(wait_for(sub { $gw->log =~ /split "burn": its webhook could not be told/ }, 15), 'a webhook that cannot be told is logged');
unlike($gw->log, qr/secret-path/, '... without its URL');

finish();
