# The examples of conf.d about traffic do what their comments say.

use lib 't/lib';
use Test::LLM;

sub slurp { local $/; open my $f, '<:raw', $_[0] or die "$_[0]: $!"; scalar <$f> }

my %prompts = map { s{^conf\.d/}{}r => slurp($_) } glob 'conf.d/prompts/*';

sub example {
    my ($name) = @_;
    my $conf = slurp("conf.d/$name.conf");
    $conf =~ s{127\.0\.0\.1:8080;}{127.0.0.1:%%PORT%%;};
    $conf =~ s{127\.0\.0\.1:(808[12]);}{127.0.0.1:%%PORT_$1%%;}g;
    $conf =~ s{/var/lib/nginx/}{%%DIR%%/};
    return Test::LLM::Gateway->new(conf => $conf, files => \%prompts)->start;
}

sub admin {
    my ($gw, $method, $path, $body) = @_;
    return $gw->http($method, "/admin/$path", { 'Content-Type' => 'application/json' },
        $body ? to_json($body) : undef);
}

sub variant { chat($_[0], 'any', headers => $_[1] || {})->header('x-llm-variant') }

# who serves n users, asked at once
sub variants {
    my ($gw, $n) = @_;
    my %seen;
    $seen{ $_->header('x-llm-variant') // $_->status }++ for $gw->many(60, map {
        [ POST => '/v1/chat/completions', { 'X-User-Id' => "u$_" }, chat_body('any') ] } 1 .. $n);
    return \%seen;
}


# ---- canary --------------------------------------------------------------------

my $gw = example('canary');
is(variant($gw), 'blue', 'canary: blue has everybody');
is(variant($gw, { 'X-LLM-Variant' => 'green' }), 'green', '... green by hand');
is($gw->post('/analyze', to_json({ text => 'Fine.' }))->status, 200, '... /analyze');
my $doc = from_json(admin($gw, POST => 'splits/assistant/start')->body);
is_deeply($doc->{weights}, { blue => 95, green => 5 }, '... start');
is_deeply([ sort keys %{ variants($gw, 400) } ], [ 'blue', 'green' ], '... some users are on green');
check($gw);


# ---- blue/green ------------------------------------------------------------------

$gw = example('blue-green');
my @verbs = ([ start => { blue => 100, green => 0 }, 'blue' ], [ promote => { blue => 0, green => 100 }, 'green' ],
             [ abort => { blue => 100, green => 0 }, 'blue' ]);

for (@verbs) {
    my ($verb, $weights, $who) = @$_;
    $doc = from_json(admin($gw, POST => "splits/assistant/$verb")->body);
    is_deeply($doc->{weights}, $weights, "blue/green: $verb");
    is(variant($gw), $who, "... and everybody is on $who");
    is(variant($gw, { 'X-LLM-Variant' => 'green' }), $verb eq 'abort' ? 'blue' : 'green', '... by hand');
}

admin($gw, POST => 'splits/assistant/start', { force => JSON::PP::true() });
admin($gw, POST => 'splits/assistant/promote', { full => JSON::PP::true() });
admin($gw, POST => 'splits/assistant/promote');
$doc = from_json(admin($gw, GET => 'splits/assistant')->body);
is("$doc->{state} $doc->{baseline}", 'completed green', '... complete');
$doc = from_json(admin($gw, POST => 'splits/assistant/swap')->body);
is_deeply([ $doc->{weights}, $doc->{baseline} ], [ { blue => 100, green => 0 }, 'blue' ], '... swapped');
check($gw);


# ---- A/B test ----------------------------------------------------------------------

$gw = example('ab-test');
my %seen;

for my $i (1 .. 40) {
    my $r = chat($gw, 'any', headers => { 'X-User-Id' => "u$i" });
    $seen{ $r->header('x-llm-variant') }++;
    my $vote = $gw->post('/feedback', to_json({ request_id => $r->header('x-llm-request-id'),
        score => $i % 3 ? 'up' : 'down' }));
    is($vote->status, 200, "A/B: vote $i") if $i <= 2;
}

my $report = from_json(admin($gw, GET => 'experiments/tone')->body);
my %arm = map { $_->{variant} => $_ } @{ $report->{arms} };
is_deeply({ map { $_ => $arm{$_}{n} } keys %arm }, \%seen, '... requests of the arms');
is($arm{terse}{thumbs}{up} + $arm{terse}{thumbs}{down}, $seen{terse}, '... votes');
check($gw);


# ---- mirror --------------------------------------------------------------------------

$gw = example('mirror');
is_deeply(variants($gw, 400), { old => 400 }, 'mirror: the old one answers everybody');
ok(wait_for(sub { from_json(admin($gw, GET => 'splits/assistant')->body)->{mirror}{copies} }, 10),
    '... and the candidate gets copies');
$gw->expect_log(qr/llm attempt/);
check($gw);


# ---- applications -----------------------------------------------------------------------

$gw = example('app-split');
%seen = ();
$seen{ $gw->get('/app/', { Cookie => "session=s$_" })->body }++ for 1 .. 100;
is_deeply([ sort keys %seen ], [ map { qq({"answered by":"$_"}\n) } 'blue', 'green' ], 'applications: both answer');
%seen = ();

for my $i (1 .. 200) {
    my $r = $gw->http(POST => '/analyze', { 'Content-Type' => 'application/json', 'X-User-Id' => "u$i" },
        to_json({ text => 'Fine.' }));
    $seen{ $r->status . ' ' . (from_json($r->body)->{'answered by'} || 'the gateway') }++;
}

is_deeply([ sort keys %seen ], [ '200 blue', '200 the gateway' ], '... and the gateway takes its share of /analyze');
check($gw);

finish;
