# llm_split and `enabled`: every mistake stops nginx -t with file, line, the
# offending word and what was expected; doubtful things are warnings; what a
# line does not say has the documented default.

use lib 't/lib';
use Test::LLM;

my $PREPARED = 'llm_zone t:16m;
    llm_provider p { dialect mock; }  llm_provider q { dialect mock; }
    llm_provider old { dialect mock; enabled off; }
    llm_model m { provider p; }
    llm_route r { target m; target q; }';
my $TWO = 'variant blue r 90%; variant green q 10%;';

sub gateway {
    my ($http, $location, %o) = @_;
    my $gw = Test::LLM::Gateway->new(%o);
    $location //= '';
    $gw->{conf} = "$http server { listen 127.0.0.1:%%PORT%%; $location }";
    return $gw;
}

sub refused {
    my ($name, $re, $http, $location) = @_;
    my ($code, $out) = gateway($http, $location)->test_conf;
    my @re = ref $re eq 'ARRAY' ? @$re : $re;

    subtest $name => sub {
        isnt($code, 0, 'refused');
        like($out, $_, "says $_") for @re;
        like($out, qr/\[emerg\].* in \S+nginx\.conf:\d+/, 'file and line');
    };
}

sub accepted {
    my ($name, $re, $http, $location) = @_;
    my ($code, $out) = gateway($http, $location)->test_conf;

    subtest $name => sub {
        is($code, 0, 'accepted') or diag $out;
        like($out, $re, "says $re") if $re;
        unlike($out, qr/\[(?:emerg|alert|crit|error)\]/, 'no error');
        unlike($out, qr/\[warn\]/, 'quiet') unless $re;
    };
}

# a split of these lines and the two variants above
sub bad  { my ($name, $re, $lines) = @_; refused($name, $re, "$PREPARED llm_split s { $TWO $lines }") }
sub good { my ($name, $lines) = @_; accepted($name, undef, "$PREPARED llm_split s { $TWO $lines }") }
sub odd  { my ($name, $re, $lines) = @_; accepted($name, $re, "$PREPARED llm_split s { $TWO $lines }") }

# a split of these variants alone
sub split_of { "$PREPARED llm_split s { $_[0] }" }


# ---- variants ------------------------------------------------------------------

refused('no variant', qr/no "variant" in llm_split "s"/, split_of(''));
refused('weights that sum to less', [ qr/"s" sum to 99\.5%/, qr/must sum to 100%/ ],
    split_of('variant a r 90%; variant b q 9.5%;'));
refused('weights that sum to more', qr/"s" sum to 101%/,
    split_of('variant a r 90%; variant b q 11%;'));
refused('a weight without %', [ qr/invalid weight "90"/, qr/a percentage from 0% to 100%/ ],
    split_of('variant a r 90; variant b q 10;'));
refused('a weight over 100 %', qr/invalid weight "101%"/, split_of('variant a r 101%;'));
refused('a weight below 0.01 %', qr/invalid weight "0\.001%"/,
    split_of('variant a r 0.001%;'));
refused('a variant twice', qr/duplicate variant "a" in llm_split "s"/,
    split_of('variant a r 50%; variant a q 50%;'));
refused('17 variants', qr/"variant" directive is one of too many, 16 are possible/,
    split_of(join '', map { "variant v$_ r 0%;" } 1 .. 17));
refused('a variant without weight', qr/invalid number of arguments in "variant"/,
    split_of('variant a r;'));
refused('a name that cannot stand in a header', qr/invalid character "," in variant name "a,b"/,
    split_of('variant a,b r 100%;'));
refused('an unknown target', [ qr/unknown target "nobody"/, qr/known: r, m, p, q, old/ ],
    split_of('variant a nobody 100%;'));
refused('a split as a target', [ qr/"o" is a split/, qr/a route, a model, a provider or http/ ],
    "$PREPARED llm_split o { variant a r 100%; } llm_split s { variant a o 100%; }");
refused('a target that is off', [ qr/variant "a" has weight but no target/, qr/"old" is "enabled off"/ ],
    split_of('variant a old 50%; variant b q 50%;'));
refused('an unknown member', [ qr/unknown directive "varient" in "llm_split"/, qr/variant, rollout/ ],
    split_of('varient a r 100%;'));

for my $url ('http://', 'http://app/path', 'https://app/', 'http://app?x=1', 'http://$app') {
    refused("an application as $url", [ qr/invalid application "\Q$url\E"/, qr/without a path/ ],
        split_of("variant a $url 100%;"));
}

accepted('one variant', undef, split_of('variant a r 100%;'));
accepted('16 variants', undef, split_of(join '', 'variant v1 r 100%;',
    map { "variant v$_ r 0%;" } 2 .. 16));
accepted('weights to 0.01 %', undef, split_of('variant a r 33.34%; variant b q 33.33%; variant c m 33.33%;'));
accepted('targets that are defined further down', undef,
    "llm_split s { variant a r 50%; variant b m 50%; } $PREPARED");
accepted('a target that is off, with no weight', undef,
    split_of('variant a r 100%; variant b old 0%;'));


# ---- names ----------------------------------------------------------------------

refused('one namespace', [ qr/duplicate name "r"/, qr/a route already/ ],
    "$PREPARED llm_split r { variant a p 100%; }");
refused('a split twice', [ qr/duplicate name "s"/, qr/a split already/ ],
    split_of('variant a r 100%;') . 'llm_split s { variant a r 100%; }');
refused('llm_pass of an unknown name tells of splits', qr/unknown name "t", known: .*\bs\b/,
    split_of('variant a r 100%;'), 'location / { llm_pass t; }');
refused('llm_pass of a split among several names', [ qr/"s" is a split/, qr/a model or a provider is expected/ ],
    split_of('variant a r 100%;'), 'location / { llm_pass p s; }');
refused('a split as the target of a route', qr/"s" is a split/,
    split_of('variant a r 100%;') . 'llm_route x { target s; }');
refused('llm_split in a server', qr/"llm_split" directive is not allowed here/,
    $PREPARED, 'llm_split s { variant a r 100%; }');


# ---- who belongs to whom ----------------------------------------------------------

good('sticky, in several lines', 'sticky $http_x_user_id $cookie_sid; sticky $remote_addr;');
good('sticky as an expression', 'sticky "$http_x_org:$http_x_user";');
bad('sticky without a variable', [ qr/invalid expression "x-user"/, qr/one with a variable/ ], 'sticky x-user;');
good('force', 'force $http_x_v allow=10.0.0.0/8 allow=::1 allow=unix: allow=192.168.1.1;');
bad('force of a constant', qr/invalid expression "green"/, 'force green allow=10.0.0.0/8;');
bad('force for nonsense', [ qr/invalid value "allow=everybody"/, qr/an address, a network/ ], 'force $http_x_v allow=everybody;');
bad('force with another word', [ qr/invalid parameter "deny=1\.2\.3\.4"/, qr/expected allow=/ ], 'force $http_x_v deny=1.2.3.4;');
bad('force twice', qr/"force" directive is duplicate/, 'force $http_a allow=::1; force $http_b allow=::1;');
odd('force for nobody', qr/\[warn\] "force" without "allow=" in llm_split "s": nobody may use it/, 'force $http_x_v;');
odd('force for half an address', qr/\[warn\] low address bits of 10\.1\.2\.3\/8 are meaningless/, 'force $http_x_v allow=10.1.2.3/8;');

good('fallback', 'fallback green blue; fallback blue green on=error,timeout;');
bad('fallback of nobody', [ qr/unknown variant "gren"/, qr/known: blue, green/ ], 'fallback gren blue;');
bad('fallback to nobody', qr/unknown variant "blu"/, 'fallback green blu;');
bad('fallback to itself', qr/"fallback" of "green" leads to itself/, 'fallback green green;');
bad('fallback twice', qr/"fallback" of "green" is duplicate/, 'fallback green blue; fallback green blue on=error;');
bad('fallback on nonsense', [ qr/unknown condition "sometimes"/, qr/error, timeout, rate_limited/ ], 'fallback green blue on=sometimes;');
bad('fallback with another word', qr/invalid parameter "if=error", expected on=/, 'fallback green blue if=error;');
refused('fallback to an application', [ qr/"fallback" of "b": it is an application \(http:\/\/127\.0\.0\.1:1\)/ ],
    split_of('variant a r 50%; variant b http://127.0.0.1:1 50%; fallback a b;'));


# ---- rollouts -----------------------------------------------------------------------

my $GUARD = 'rollback error_rate>5%;';

good('rollout', "rollout green; $GUARD");
good('rollout before its variant', "$GUARD rollout green steps=0%,100% bake=20m max_bake=2h soak=0 min_samples=1 rest=0 start=now;");
bad('rollout of nobody', [ qr/unknown variant "gren"/, qr/known: blue, green/ ], 'rollout gren;');
bad('rollout of the baseline', [ qr/"rollout" of "blue"/, qr/the first variant is the baseline/ ], 'rollout blue;');
bad('rollout twice', qr/"rollout" directive is duplicate/, 'rollout green; rollout green;');
bad('steps that fall', qr/step "25%" of "50%,25%,100%" does not rise/, 'rollout green steps=50%,25%,100%;');
bad('steps that stand still', qr/step "50%" of "50%,50%,100%" does not rise/, 'rollout green steps=50%,50%,100%;');
bad('a step over 100 %', qr/invalid step "120%"/, 'rollout green steps=50%,120%;');
bad('a step without %', qr/invalid step "50"/, 'rollout green steps=50,100;');
bad('an empty step', qr/invalid step ""/, 'rollout green steps=50%,,100%;');
bad('17 steps', qr/too many steps in .*, 16 are possible/,
    'rollout green steps=' . join(',', map { "$_%" } 1 .. 16, 100) . ';');
bad('steps without an end', [ qr/steps "5%,50%" end before 100%/, qr/a rollout is complete/ ], 'rollout green steps=5%,50%;');
bad('bake of nonsense', qr/invalid value "bake=soon", expected a time/, 'rollout green bake=soon;');
bad('max_bake before bake', qr/max_bake=5m is shorter than bake=10m/, 'rollout green max_bake=5m;');
bad('no samples', qr/invalid value "min_samples=0"/, 'rollout green min_samples=0;');
bad('start some time', [ qr/unknown start "later"/, qr/expected one of: now/ ], 'rollout green start=later;');
bad('another word', qr/invalid parameter "step=5%", expected one of: steps=, bake=/, 'rollout green step=5%;');
odd('rollout without a trigger', qr/\[warn\] "rollout" without "rollback" in llm_split "s": nothing can stop it in \S+:\d+/, 'rollout green;');
odd('a bake too short for a trigger', qr/\[warn\] bake=1m of llm_split "s" is too short for "rollback error_rate>5%", which can never fire within one step: it needs 6m in \S+:\d+/,
    "rollout green bake=1m; $GUARD");
accepted('what is not measured of applications', qr/\[warn\] "rollback json_invalid>2%" can never fire in llm_split "s": it is not measured of applications in \S+:\d+/,
    split_of('variant a http://127.0.0.1:1 100%; variant b http://127.0.0.1:2 0%; rollback json_invalid>2%;'));
accepted('what is measured of one variant', undef,
    split_of('variant a http://127.0.0.1:1 100%; variant b q 0%; rollback json_invalid>2%;'));
good('a bake just long enough', "rollout green bake=6m; $GUARD");
good('a short bake for a short trigger', 'rollout green bake=900ms; rollback error_rate>5% for=300ms window=600ms;');


# ---- triggers -------------------------------------------------------------------------

good('every condition', 'rollback error_rate>5%; rollback json_invalid>2%; rollback p95_rise>5s; rollback p95>20s;
    rollback ttft_p95>3s; rollback cost_per_request>0.01; rollback upstream_4xx_excess>5%; rollback fast_burn>=50%;');
good('blanks anywhere', 'rollback error_rate > 5%; rollback error_rate >6%; rollback error_rate> 7%; rollback error_rate >= 8% for=1m;
    rollback error_rate >=9%; rollback error_rate>= 10%;');
good('every word', 'rollback error_rate>5% for=300ms min=10 window=600ms action=log confidence=95%;');
good('one condition with two actions', 'rollback error_rate>5% for=1m action=log; rollback error_rate>5%;');
good('dollars by name', 'rollback cost_per_request>=0.01usd;');
bad('an unknown measure', [ qr/unknown measure "errors"/, qr/error_rate, json_invalid, p95_rise/ ], 'rollback errors>5%;');
bad('the other way round', [ qr/invalid condition "error_rate<5%"/, qr/a comparison with > or >=/ ], 'rollback error_rate<5%;');
bad('no threshold', qr/invalid condition "error_rate>"/, 'rollback error_rate>;');
bad('no comparison', qr/invalid condition "error_rate5%"/, 'rollback error_rate 5%;');
bad('a rate in no unit', [ qr/invalid condition "error_rate>5"/, qr/a percentage such as 5% behind "error_rate"/ ], 'rollback error_rate > 5;');
bad('a time in percent', [ qr/invalid condition "p95>5%"/, qr/a time such as 5s/ ], 'rollback p95>5%;');
bad('money in words', [ qr/invalid condition "cost_per_request>cheap"/, qr/US dollars/ ], 'rollback cost_per_request>cheap;');
bad('never true', qr/condition "error_rate>100%" is never true/, 'rollback error_rate>100%;');
bad('always true', qr/condition "error_rate>=0%" is always true/, 'rollback error_rate>=0%;');
bad('a word too many', qr/invalid parameter "fro=5m", expected one of: for=, min=/, 'rollback error_rate>5% fro=5m;');
bad('the same twice', qr/"rollback" directive says the same as one before/, 'rollback error_rate>5%; rollback error_rate > 5% for=300s;');
bad('13 triggers', qr/"rollback" directive is one of too many, 12 are possible/, join ' ', map { "rollback error_rate>$_%;" } 1 .. 13);
bad('no samples', qr/invalid value "min=0"/, 'rollback error_rate>5% min=0;');
bad('a window too short', qr/invalid value "window=50ms", it must be between 60 /, 'rollback error_rate>5% window=50ms;');
bad('windows too far apart', [ qr/window=31m of "rollback p95>5s"/, qr/30 times the shortest window .* 1m/ ],
    'rollback error_rate>5% window=60s; rollback p95>5s window=31m;');
bad('an unknown action', [ qr/unknown action "panic"/, qr/rollback, pause, log/ ], 'rollback error_rate>5% action=panic;');
bad('confidence in a time', qr/confidence= is for rates/, 'rollback p95>5s confidence=95%;');
bad('confidence in a difference', qr/confidence= is for rates/, 'rollback upstream_4xx_excess>5% confidence=95%;');
bad('certainty', qr/invalid value "confidence=100%"/, 'rollback error_rate>5% confidence=100%;');


# ---- beside the traffic ------------------------------------------------------------------

good('mirror', 'mirror green 2% max=64k inflight=4 multipart=on;');
bad('mirror of nobody', qr/unknown variant "gren"/, 'mirror gren 2%;');
bad('mirror of the baseline', qr/"mirror" of "blue": the first variant is the baseline/, 'mirror blue 2%;');
bad('mirror of nothing', [ qr/invalid share "0%"/, qr/from 0\.01% to 100%/ ], 'mirror green 0%;');
bad('mirror without a size', qr/invalid value "max=much", expected a size/, 'mirror green 2% max=much;');
bad('mirror twice', qr/"mirror" directive is duplicate/, 'mirror green 2%; mirror green 3%;');
refused('mirror of an application', qr/"mirror" of "b": it is an application/,
    split_of('variant a r 100%; variant b http://127.0.0.1:1 0%; mirror b 1%;'));

good('experiment', 'experiment tone remember=100 margin=2.5%;');
bad('experiment with nonsense', qr/invalid parameter "power=80%"/, 'experiment tone power=80%;');
refused('an experiment twice', [ qr/duplicate experiment "tone"/, qr/one of llm_split "s"/ ],
    "$PREPARED llm_split s { $TWO experiment tone; } llm_split t { $TWO experiment tone; }");

bad('sample without a file', qr/"sample" directive needs file=PATH/, 'sample 1%;');
bad('sample of nothing', qr/invalid share "0%"/, 'sample 0% file=x.jsonl;');
bad('sample in small files', qr/invalid value "max=1", it must be between 1024 /, 'sample 1% file=x.jsonl max=1;');

good('webhook', 'webhook https://hooks.example.com/oncall;');
bad('webhook without a scheme', qr/"webhook" directive needs an http:\/\/ or https:\/\/ URL/, 'webhook hooks.example.com;');
good('on_reload', 'on_reload reset; internal;');
bad('on_reload of nonsense', [ qr/unknown way to reload "maybe"/, qr/keep, reset/ ], 'on_reload maybe;');
good('on_control_loss', 'on_control_loss keep;');
bad('on_control_loss of nonsense', [ qr/unknown way without Redis "maybe"/, qr/baseline, keep/ ], 'on_control_loss maybe;');


# ---- enabled --------------------------------------------------------------------------------

my $old = 'llm_provider o { dialect mock; enabled %s; }';

sub enabled { sprintf($old, $_[0]) }

accepted('enabled until a day', undef, enabled('until=2999-12-31'));
accepted('enabled until a moment', undef, enabled('until=2999-12-31T18:00:00+01:00'));
accepted('a model until a day', undef, enabled('on') . 'llm_model n { provider o; enabled until=2999-12-31; }');
accepted('a day that is over', qr/\[warn\] "enabled until=2020-01-31" is in the past: it is off in \S+:\d+/,
    enabled('until=2020-01-31') . 'llm_route x { target o; }');
refused('a day that never was', [ qr/invalid date "2026-02-30"/, qr/one such as 2026-12-31/ ], enabled('until=2026-02-30'));
refused('a moment without a zone', qr/invalid date "2026-12-31T18:00:00"/, enabled('until=2026-12-31T18:00:00'));
refused('enabled maybe', [ qr/invalid value "maybe"/, qr/"on", "off" or until=DATE/ ], enabled('maybe'));
refused('a route of what is off', qr/llm_route "x" has no target left: all of them are "enabled off"/,
    enabled('off') . 'llm_model n { provider o; } llm_route x { target o; target n; }');
refused('names that are off in llm_pass', qr/"llm_pass" has no target left/,
    enabled('off') . 'llm_model n { provider o; }', 'location / { llm_pass n o; }');
accepted('a route of which one is on', undef,
    enabled('off') . "$PREPARED llm_route x { target o; target p; }");


# ---- what a line does not say ------------------------------------------------------------------

my $gw = gateway("$PREPARED
    llm_split s { $TWO rollout green; mirror green 2%;
        rollback error_rate > 5%; rollback json_invalid>2%; rollback p95_rise>5s; rollback fast_burn>=50%; }
    llm_split hidden { variant a r 100%; internal; }
    llm_split apps { variant a http://127.0.0.1:1 100%; }",
    'location /v1/ { llm_pass $llm_model; } location /admin/ { llm_admin; }');
$gw->start;

my $doc = from_json($gw->get('/admin/splits/s')->body);
is_deeply($doc->{weights}, { blue => 90, green => 10 }, 'weights of the file');
is_deeply($doc->{rollout}{steps}, [ 5, 25, 50, 75, 100 ], 'steps');
is($doc->{rollout}{min_samples}, 100, 'min_samples');
is($doc->{mirror}{share}, 2, 'share of the mirror');
is_deeply({ map { $_->{condition} => $_->{action} } @{ $doc->{triggers} } },
    { 'error_rate>5%' => 'rollback', 'json_invalid>2%' => 'rollback',
      'p95_rise>5s' => 'rollback', 'fast_burn>=50%' => 'rollback' },
    'conditions and their actions');

is($gw->get('/v1/models')->status, 200, 'models are listed');
my @ids = map { $_->{id} } @{ from_json($gw->get('/v1/models')->body)->{data} };
is_deeply([ sort @ids ], [ 'm', 'r', 's' ], 'with splits, but neither hidden ones nor applications');
is(chat($gw, 's')->status, 200, 'a split by its name');
is(chat($gw, $_)->status, 404, "$_ by its name") for 'hidden', 'apps';


# ---- a reload ------------------------------------------------------------------------------------

my $hand = to_json({ version => $doc->{version}, weights => { blue => 40, green => 60 } });
is($gw->http(PUT => '/admin/splits/s', { 'Content-Type' => 'application/json' }, $hand)->status, 200,
    'weights set by hand');

sub green { from_json($gw->get('/admin/splits/s')->body)->{weights}{green} }

my $conf = $gw->{conf};
$conf =~ s/error_rate > 5%;/\n  # a comment\n  error_rate    >5%  ;/;
ok($gw->reload($conf), 'a reload with other blanks and a comment');
is(green(), 60, 'leaves weights alone');

$conf =~ s/fast_burn>=50%/fast_burn>=60%/;
ok($gw->reload($conf), 'a reload with another line');
is(green(), 10, 'takes the weights of the file');

finish;
