# Splits by the API: what they look like, weights by compare-and-set, verbs, and
# two operators at once.  What an answer says is in force in all workers.

use lib 't/lib';
use Test::LLM;

my $up = Test::LLM::Upstream->new;
my $workers = 4;

my $gw = Test::LLM::Gateway->new(vars => { UP => $up->port },
    workers => $workers, conf => <<'EOC')->start;
    llm_zone t:32m;
    llm_provider b { dialect openai; base_url http://127.0.0.1:%%UP%%/b/v1; breaker off; }
    llm_provider g { dialect openai; base_url http://127.0.0.1:%%UP%%/g/v1; breaker off; }
    llm_provider r { dialect openai; base_url http://127.0.0.1:%%UP%%/r/v1; breaker off; }
    llm_model mb { provider b; id b-1; price input=1 output=1; }
    llm_split analyze {
        sticky   $http_x_user;
        variant  blue   mb  90%;
        variant  green  g   10%;
        rollout  green  steps=10%,50%,100% bake=1h soak=1h min_samples=5 rest=1h;
        rollback error_rate>5%;
        rollback p95_rise>5s action=log;
        mirror   green 0.01%;
    }
    llm_split three {
        variant  blue   b  33.33%;
        variant  green  g  33.33%;
        variant  red    r  33.34%;
        rollback cost_per_request>0.01 for=1s action=pause;
    }
    llm_split plain {
        variant  blue   b  100%;
        variant  green  g  0%;
        experiment words;
    }
    llm_split watched {
        variant  blue   b  50%;
        variant  green  r  50%;
        rollback error_rate>5%  for=100ms window=2s min=5 action=log;
        rollback error_rate>=5% for=1h    window=2s min=5 action=log;
        rollback error_rate>5%  for=1h    window=2s min=5 action=log;
        mirror   green 100%;
    }
    server {
        listen 127.0.0.1:%%PORT%% reuseport;
        add_header X-Pid $pid always;
        llm_retry off;
        location /analyze/ { llm_pass analyze; }
        location /plain/ { llm_pass plain; }
        location /watched/ { llm_pass watched; }
        location /three/ { llm_pass three; }
        location /admin/ { llm_admin; }
        location = /metrics { llm_metrics; }
    }
EOC

$up->on("/$_/*" => ok_chat($_, usage => { prompt_tokens => 1000,
    completion_tokens => 500, total_tokens => 1500 })) for qw(b g r);

my @json = ('Content-Type' => 'application/json');

sub doc { $gw->get('/admin/splits/' . ($_[0] // 'analyze'))->json }

sub set {
    my ($version, $weights, %more) = @_;
    return $gw->http(PUT => '/admin/splits/analyze', { @json }, to_json({
        version => $version, weights => $weights, %more }));
}

sub verb {
    my ($verb, $body, %headers) = @_;
    my $split = delete $headers{split} // 'analyze';
    return $gw->http(POST => "/admin/splits/$split/$verb", { @json, %headers },
        ref $body ? to_json($body) : $body);
}

sub refused {
    my ($r, $status, $code, $re, $name) = @_;
    is($r->status, $status, "$name: $status") or diag $r->body;
    my $error = ($r->json || {})->{error} || {};
    is($error->{code}, $code, "... $code");
    like($error->{message}, $re, '... says why');
}

# the variants that answer, from every worker at once
sub served {
    my ($path) = @_;
    my (%seen, %pid);
    for my $round (1 .. 20) {
        my @r = $gw->many(20, map {
            [ POST => "/$path/v1/chat/completions",
              { @json, 'X-User' => "user-$round-$_" }, chat_body('x') ]
        } 1 .. 24);
        for my $r (@r) {
            $pid{ $r->header('x-pid') // '?' }++;
            $seen{ $r->status == 200
                ? $r->json->{choices}[0]{message}{content} : $r->status }++;
        }
        last if keys %pid >= $workers;
    }
    return join ' ', sort(keys %seen), scalar keys %pid;
}

sub variant {
    my ($doc, $name) = @_;
    return (grep { $_->{name} eq $name } @{ $doc->{variants} })[0];
}


# ---- the document -----------------------------------------------------------------

my $d = doc();
is($d->{name}, 'analyze', 'name');
is($d->{version}, 1, 'version');
is($d->{state}, 'none', 'state');
is_deeply($d->{weights}, { blue => 90, green => 10 }, 'weights in percent');
is($d->{baseline}, 'blue', 'baseline');
like($d->{updated}, qr/^20\d\d-\d\d-\d\dT/, 'updated');
is_deeply([ map { $_->{name} } @{ $d->{variants} } ], ['blue', 'green'],
    'variants in their order');

my $v = variant($d, 'green');
is($v->{target}, 'g', 'target');
is($v->{weight}, 10, 'weight');
is($v->{$_}, 0, $_) for qw(n errors json_checked json_invalid overdue cost);
ok(exists $v->{$_} && !defined $v->{$_}, "$_: nothing known")
    for qw(error_rate p50_ms p95_ms ttft_p95_ms cost_per_request);
is($v->{baseline}, JSON::PP::false, 'not the baseline');
is($v->{barred}, JSON::PP::false, 'not barred');

my ($t) = @{ $d->{triggers} };
is(scalar @{ $d->{triggers} }, 2, 'triggers of the variant they guard');
is($t->{condition}, 'error_rate>5%', 'condition');
is($t->{variant}, 'green', '... of which variant');
is($t->{threshold}, 5, '... threshold in percent');
is($t->{state}, 'idle', '... state');
is($t->{action}, 'rollback', '... action');
is($t->{for_s}, 300, '... hold');
is($t->{n}, 0, '... samples');
is($t->{pending_s}, 0, '... pending');
ok(!defined $t->{value}, '... nothing measured');
is($d->{triggers}[1]{threshold}, 5000, 'a time in milliseconds');
is($d->{triggers}[1]{action}, 'log', 'another action');
cmp_ok(doc('three')->{triggers}[0]{threshold}, '==', 0.01, 'dollars');

is($d->{rollout}{canary}, 'green', 'the rollout');
is_deeply($d->{rollout}{steps}, [10, 50, 100], '... its steps');
is($d->{mirror}{variant}, 'green', 'the mirror');
is_deeply(doc('three')->{mirror}, {}, '... none');
is(doc('three')->{rollout}, undef, '... no rollout');
is_deeply(doc('three')->{weights},
    { blue => 33.33, green => 33.33, red => 33.34 }, 'two decimals');

my $list = $gw->get('/admin/splits')->json->{splits};
is_deeply([ map { $_->{name} } @$list ],
    ['analyze', 'three', 'plain', 'watched'],
    'GET splits');
is_deeply($list->[0]{weights}, { blue => 90, green => 10 }, '... weights');
refused($gw->get('/admin/splits/none'), 404, 'not_found', qr/"none"/,
    'an unknown split');


# ---- outcomes ----------------------------------------------------------------------

$up->on('/b/*' => ok_chat('b', usage => { prompt_tokens => 1000,
        completion_tokens => 500, total_tokens => 1500 }),
    reply(500, {}, '{"error":{"message":"no"}}'), ok_chat('b'));
chat($gw, 'x', path => '/plain/v1/chat/completions') for 1 .. 4;
$v = variant(doc('plain'), 'blue');
is($v->{n}, 4, 'requests');
is($v->{errors}, 1, '... errors');
is($v->{error_rate}, 25, '... in percent');
is($v->{input_tokens}, 1000 + 2 * 11, '... tokens');
cmp_ok($v->{p95_ms}, '>=', 0, '... times');
is($v->{totals}{n}, 4, '... in all');
is(variant(doc('plain'), 'green')->{n}, 0, '... none of the other');


# ---- weights -------------------------------------------------------------------------

my $r = set(1, { blue => 0, green => 100 });
is($r->status, 200, 'PUT');
is($r->json->{version}, 2, '... the new version');
is_deeply($r->json->{weights}, { blue => 0, green => 100 }, '... new weights');
is(served('analyze'), "g $workers", '... in all workers');

$r = set(1, { blue => 50, green => 50 });
refused($r, 412, 'version_mismatch', qr/is 2, not 1/, 'an old version');
is($r->json->{version}, 2, '... the document as it is');
is_deeply($r->json->{weights}, { blue => 0, green => 100 }, '... its weights');
is_deeply(doc()->{weights}, { blue => 0, green => 100 }, 'nothing changed');
is(set(2, { blue => 99.99, green => 0.01 })->status, 200, '0.01 %');
is_deeply(doc()->{weights}, { blue => 99.99, green => 0.01 }, '... is kept');
is(set(3, { blue => 100, green => 0 })->status, 200, '0 %');
is(served('analyze'), "b $workers", '... is nobody');

for (
    ['the sum', { blue => 50, green => 49 }, qr/sum to 99\.00, not to 100/],
    ['one missing', { blue => 100 }, qr/"green" is missing/],
    ['another name', { blue => 50, green => 50, red => 0 }, qr/no variant "red"/],
    ['three decimals', { blue => 99.999, green => 0.001 }, qr/two decimals/],
    ['too much', { blue => 101, green => -1 }, qr/0 to 100/],
    ['text', { blue => '90', green => '10' }, qr/number/],
) {
    my ($name, $weights, $re) = @$_;
    refused(set(4, $weights), 400,
        $name eq 'another name' ? 'unknown_variant' : 'invalid_weights', $re,
        $name);
}
refused($gw->http(PUT => '/admin/splits/analyze', { @json },
        '{"version":4,"weights":{"blue":50,"blue":50,"green":50}}'),
    400, 'invalid_weights', qr/twice/, 'a variant twice');
refused($gw->http(PUT => '/admin/splits/analyze', { @json },
        '{"version":4,"weights":{"blue\\u0000x":50,"green":50}}'),
    400, 'invalid_json', qr/u0000/, 'a name that a C string would cut');
refused($gw->http(PUT => '/admin/splits/analyze', { @json },
        '{"weights":{"blue":50,"green":50}}'), 400, 'version_missing',
    qr/"version"/, 'no version');
refused($gw->http(PUT => '/admin/splits/analyze', { @json },
        '{"version":4}'), 400, 'weights_missing', qr/"weights"/, 'no weights');
for my $version ('"4"', '4.5', '0', '-1', '1e300', 'null') {
    refused($gw->http(PUT => '/admin/splits/analyze', { @json },
            "{\"version\":$version,\"weights\":{\"blue\":50,\"green\":50}}"),
        400, 'invalid_member', qr/"version"/, "the version $version");
}
refused(set(4, { blue => 50, green => 50 }, state => 'x'), 400,
    'unknown_member', qr/"state", expected one of: version, weights/,
    'an unknown member');
is(doc()->{version}, 4, 'nothing changed');


# ---- two operators -------------------------------------------------------------------

for my $round (1 .. 10) {
    my $version = doc()->{version};
    my @r = $gw->many(20, map {
        [ PUT => '/admin/splits/analyze', { @json }, to_json({
            version => $version, weights => { blue => 100 - $_, green => $_ },
        }) ] } map { $round * 8 + $_ } 1 .. 8);
    my @won = grep { $_->status == 200 } @r;
    my @lost = grep { $_->status == 412 } @r;

    if (@won != 1 || @lost != 7 || doc()->{version} != $version + 1) {
        fail("round $round: one of eight wins");
        diag join ' ', map { $_->status } @r;
        last;
    }
    is(doc()->{weights}{green}, $won[0]->json->{weights}{green},
        'the winner\'s weights hold') if $round == 10;
}


# ---- verbs ---------------------------------------------------------------------------

set(doc()->{version}, { blue => 100, green => 0 });
$r = verb('start', { reason => 'night shift' },
          'X-Llm-Actor' => 'ann');
is($r->status, 200, 'start') or diag $r->body;
is($r->json->{state}, 'progressing', '... progressing');
is_deeply($r->json->{weights}, { blue => 90, green => 10 }, '... at the first step');
is_deeply([ sort @{ $r->json->{rollout}{waiting_for} } ], ['bake', 'samples'],
    '... waits for time and samples');
is($r->json->{rollout}{min_samples}, 5, '... how many');
like($r->json->{rollout}{until}, qr/^20\d\d-/, '... until when');

my $entry = $gw->get('/admin/audit?limit=1')->json->{entries}[0];
is($entry->{action}, 'start', 'the audit trail');
is($entry->{actor}, 'admin 127.0.0.1 ann', '... who');
is_deeply($entry->{reason}, { text => 'night shift' }, '... why');
is($entry->{before}{weights}{green}, 0, '... before');
is($entry->{after}{weights}{green}, 10, '... after');

refused(verb('pause', { version => 1 }), 412, 'version_mismatch', qr/not 1/,
    'a verb with an old version');
is(verb('pause', { version => doc()->{version} })->json->{state}, 'paused',
    'pause, with the version');
is(doc()->{rollout}{why}, 'manual', '... by hand');
is_deeply(doc()->{rollout}{waiting_for}, ['resume'], '... until resume');
is(verb('pause')->status, 200, '... again: as it was');
is(verb('resume')->json->{state}, 'progressing', 'resume');
is(verb('resume')->status, 200, '... again: as it was');
is_deeply(verb('promote')->json->{weights}, { blue => 50, green => 50 },
    'promote: one step');
$r = verb('promote', { full => JSON::PP::true });
is_deeply($r->json->{weights}, { blue => 0, green => 100 }, '... to the end');
is($r->json->{state}, 'soaking', '... soaking');

$r = verb('abort', { version => 1, reason => 'smoke' });
is($r->status, 200, 'abort, whatever the version');
is($r->json->{state}, 'rolled_back', '... rolled back');
is_deeply($r->json->{weights}, { blue => 100, green => 0 }, '... no weight');
is(variant($r->json, 'green')->{barred}, JSON::PP::true, '... barred');
is(served('analyze'), "b $workers", '... in force when it is answered');
is(verb('abort')->status, 200, 'abort again');

refused(verb('start'), 409, 'resting', qr/\d+ s are left/, 'start too soon');
$r = set(doc()->{version}, { blue => 50, green => 50 });
refused($r, 409, 'barred', qr/./, 'weight for what is barred');
is(verb('start', { force => JSON::PP::true })->json->{state}, 'progressing',
    'start with force');
is(verb('abort')->status, 200, 'abort');
is(set(doc()->{version}, { blue => 50, green => 50 },
    force => JSON::PP::true)->status, 200, 'weights with force');

$r = verb('swap', { variant => 'green' }, split => 'plain');
is($r->status, 200, 'swap') or diag $r->body;
is_deeply($r->json->{weights}, { blue => 0, green => 100 }, '... the weights');
is($r->json->{baseline}, 'green', '... and the baseline');
is(served('plain'), "g $workers", '... in all workers');

$r = verb('abort', { variant => 'green' }, split => 'three');
is($r->status, 200, 'abort of one variant') or diag $r->body;
is(variant($r->json, 'green')->{barred}, JSON::PP::true, '... it is barred');
is(variant($r->json, 'red')->{barred}, JSON::PP::false, '... no other');
is_deeply($r->json->{weights}, { blue => 66.66, green => 0, red => 33.34 },
    '... the baseline has its weight');
is(served('three'), "b r $workers", '... nobody goes there');

refused(verb('start', undef, split => 'three'), 409, 'no_rollout', qr/./,
    'start without a rollout');
refused(verb('start', { variant => 'red' }, split => 'three'), 400,
    'invalid_variant', qr/"red"/, '... of a variant');
refused(verb('abort', { variant => 'blue' }, split => 'three'), 409,
    'invalid_variant', qr/name a "variant" that is not the baseline/,
    'abort of the baseline');
refused(verb('abort', { variant => 'x' }, split => 'three'), 400,
    'unknown_variant', qr/"x"/, 'abort of nobody');
refused(verb('pause', { full => JSON::PP::true }), 400, 'invalid_member',
    qr/promote only/, 'full without promote');
refused(verb('pause', { force => JSON::PP::true }), 400, 'invalid_member',
    qr/start/, 'force without start');
refused(verb('pause', { weights => {} }), 400, 'unknown_member',
    qr/"weights"/, 'a member that belongs elsewhere');
refused(verb('abort', undef, split => 'none'), 404, 'not_found',
    qr{"none"; GET /admin/splits lists them}, 'abort of no split');


# ---- abort during a promotion -----------------------------------------------------------

for my $round (1 .. 10) {
    verb('start', { force => JSON::PP::true });
    my @r = $gw->many(20, map {
        [ POST => "/admin/splits/analyze/$_", { @json } ]
    } qw(promote abort promote promote));
    my $doc = doc();
    next if $r[1]->status == 200 && $doc->{state} eq 'rolled_back'
        && $doc->{weights}{green} == 0;
    fail("round $round: abort wins");
    diag $doc->{state}, ' ', join ' ', map { $_->status } @r;
    last;
}
is(doc()->{state}, 'rolled_back', 'abort wins over promote');


# ---- what triggers and mirrors see ----------------------------------------------------------

$up->on('/r/*' => reply(500, {}, '{"error":{"message":"no"}}'));

my $seen = wait_for(sub {
    chat($gw, 'x', path => '/watched/v1/chat/completions') for 1 .. 4;
    my $doc = doc('watched');
    return $doc->{triggers}[0]{state} eq 'firing' && $doc->{mirror}{copies}
        ? $doc : undef;
}, 20);

ok($seen, 'a trigger fires');
($t) = @{ $seen->{triggers} };
is($t->{variant}, 'green', '... for the variant that fails');
is($t->{value}, 100, '... at 100 %');
cmp_ok($t->{n}, '>=', 5, '... of enough samples');
is($t->{evidence}, 'true', '... at this moment');
cmp_ok($t->{pending_s}, '>=', 0.1, '... held for a while');
is($seen->{triggers}[1]{state}, 'pending', 'one with a longer hold is pending');
is($seen->{state}, 'none', 'action=log changes nothing');
is(variant($seen, 'green')->{error_rate}, 100, 'the error rate');
cmp_ok($seen->{mirror}{copies}, '>', 0, 'copies of the mirror');
is($seen->{mirror}{variant}, 'green', '... to whom');
is($seen->{mirror}{share}, 100, '... how many percent');


# ---- experiments, metrics -----------------------------------------------------------------

is($gw->get('/admin/experiments')->json->{experiments}[0]{name}, 'words',
    'GET experiments');
is($gw->get('/admin/experiments/words')->json->{name}, 'words',
    'GET experiments/NAME');
refused($gw->get('/admin/experiments/none'), 404, 'not_found', qr/"none"/,
    'an unknown experiment');

my $page = $gw->get('/metrics')->body;
for my $line (
    'llm_split_weight{split="three",variant="blue"} 0.6666',
    'llm_split_weight{split="three",variant="green"} 0.0000',
    'llm_split_baseline{split="plain",variant="green"} 1',
    'llm_split_barred{split="three",variant="green"} 1',
    'llm_split_barred{split="three",variant="red"} 0',
    'llm_split_state{split="analyze",state="rolled_back"} 1',
    'llm_split_state{split="analyze",state="none"} 0',
    'llm_split_version{split="three"} 2',
    'llm_split_requests_total{split="plain",variant="blue",outcome="error"} 1',
    'llm_split_requests_total{split="plain",variant="blue",outcome="ok"} 3',
    'llm_split_requests_total{split="plain",variant="blue",outcome="forced"} 0',
    'llm_split_tokens_total{split="plain",variant="blue",type="input"} 1022',
    'llm_trigger_state{split="analyze",variant="green",trigger="error_rate>5%"} 0',
    'llm_trigger_state{split="watched",variant="green",trigger="error_rate>5%"} 2',
    'llm_trigger_state{split="watched",variant="green",trigger="error_rate>=5%"} 1',
    'llm_trigger_state{split="watched",variant="green",trigger="error_rate>5% (2)"} 1',
    'llm_trigger_value{split="watched",variant="green",trigger="error_rate>5%"} 100.00',
    'llm_mirror_copies_total{split="analyze",variant="green"} 0',
    'llm_feedback_votes{split="plain",variant="blue",score="up"} 0',
    'llm_feedback_total 0',
) {
    ok(index($page, "\n$line\n") >= 0, $line);
}

my ($tool) = grep { -x } ($ENV{LLM_PROMTOOL} // ()),
    map { "$_/promtool" } split /:/, $ENV{PATH};
SKIP: {
    skip 'no promtool here', 1 unless $tool;
    my $file = $gw->write('page.txt', $page);
    is(`$tool check metrics < $file 2>&1`, '', 'promtool has nothing to say');
}

finish;
