# Lists of models: the gateway's own and those of providers, for clients of
# OpenAI and of Anthropic, which use the same path.

use lib 't/lib';
use Test::LLM;

my $up = Test::LLM::Upstream->new;
my $gw = Test::LLM::Gateway->new(vars => { UP => $up->port }, env => { KEY_A => 'sk-alpha-00001' },
    conf => <<'EOC')->start;
    llm_zone t:4m;
    llm_key_pool k { key env:KEY_A; cooldown off; }
    llm_provider o { dialect openai; base_url http://127.0.0.1:%%UP%%/o/v1; keys k; breaker off; }
    llm_provider a { dialect anthropic; base_url http://127.0.0.1:%%UP%%/a; keys k; breaker off; }
    llm_provider g { dialect gemini; base_url http://127.0.0.1:%%UP%%/g; keys k; breaker off; }
    llm_provider canned { dialect mock; }
    llm_model first { provider o; id gpt; }
    llm_model second/one { provider a; id claude; }
    server {
        listen 127.0.0.1:%%PORT%%;
        llm_retry off;
        location /v1/ { llm_pass $llm_model; }
        location /o/  { llm_pass o; }
        location /a/  { llm_pass a; }
        location /g/  { llm_pass g; }
        location /m/  { llm_pass canned; }
        location /denied/ { deny all; llm_pass o; }
    }
EOC

my %of = (o => 'openai', a => 'anthropic', g => 'gemini');
my @anthropic = ('anthropic-version' => '2023-06-01', 'x-api-key' => 'of-the-client');

# asks provider WHO; (response, what went out)
sub ask {
    my ($who, $path, $headers, $script) = @_;
    $up->reset;
    $up->on('/*' => $script // [ [ json => fixture_text("$of{$who}/models.response.json") ] ]) if $of{$who};
    my $r = $gw->http(GET => "/$who/v1/models$path", { @{ $headers // [] } });
    return ($r, $up->received);
}

# ---- in front: OpenAI -------------------------------------------------------------------

my ($r, $q) = ask('o', '');
is($r->body, fixture_text('openai/models.response.json'), "OpenAI's for its clients: as it is");
($r, $q) = ask('a', '?limit=3');
is_deeply($r->json, { object => 'list', data => [ { id => 'claude-sonnet-5', object => 'model', created => 1772323200, owned_by => 'anthropic' } ] }, "Anthropic's")
    or diag $r->body;
like($r->header('content-type'), qr{^application/json}, '... type');
is($q->{path}, '/a/v1/models?limit=1000', '... asked for as much as there is');
is($q->{h}{'x-api-key'}, 'sk-alpha-00001', '... by our key');
is($q->{h}{'anthropic-version'}, '2023-06-01', '... and version');
is($q->{h}{'content-length'}, undef, '... without a body');
($r, $q) = ask('g', '');
is_deeply($r->json, { object => 'list', data => [ { id => 'gemini-3.5-flash', object => 'model', created => 0, owned_by => 'google' } ] }, "Google's");
is($q->{path}, '/g/v1beta/models?pageSize=1000', '... path');
is($q->{h}{'x-goog-api-key'}, 'sk-alpha-00001', '... key');

($r, $q) = ask('a', '/claude-sonnet-5', [], [ [ json => '{"type":"model","id":"claude-sonnet-5","display_name":"Claude","created_at":"2026-03-01T00:00:00Z"}' ] ]);
is_deeply($r->json, { id => 'claude-sonnet-5', object => 'model', created => 1772323200, owned_by => 'anthropic' }, 'one of them');
is($q->{path}, '/a/v1/models/claude-sonnet-5', '... path');
($r, $q) = ask('g', '/gemini-x', [], [ [ json => '{"name":"models\/gemini-x","displayName":"X"}' ] ]);
is($r->json->{id}, 'gemini-x', "one of Google's");
is($q->{path}, '/g/v1beta/models/gemini-x', '... path');
($r) = ask('m', '');
ok(@{ $r->json->{data} }, "the built-in mock's");

# ---- in front: Anthropic ----------------------------------------------------------------

($r, $q) = ask('a', '?limit=3&after_id=x', \@anthropic);
is($r->body, fixture_text('anthropic/models.response.json'), "Anthropic's for its clients: as it is");
is($q->{path}, '/a/v1/models?limit=3&after_id=x', '... page by page');
($r, $q) = ask('o', '?limit=3', \@anthropic);
is_deeply($r->json, { has_more => JSON::PP::false(), first_id => 'gpt-4.1-mini', last_id => 'whisper-1', data => [
    { type => 'model', id => 'gpt-4.1-mini', display_name => 'gpt-4.1-mini', created_at => '2025-04-10T20:39:07Z' },
    { type => 'model', id => 'whisper-1', display_name => 'whisper-1', created_at => '2023-02-27T21:13:04Z' } ] }, "OpenAI's") or diag $r->body;
is($q->{path}, '/o/v1/models', '... path');
is($q->{h}{authorization}, 'Bearer sk-alpha-00001', '... key');
is($q->{h}{'anthropic-version'}, undef, '... nothing of the other dialect');
($r) = ask('g', '', \@anthropic);
is_deeply($r->json->{data}, [ { type => 'model', id => 'gemini-3.5-flash', display_name => 'Gemini 3.5 Flash', created_at => '1970-01-01T00:00:00Z' } ], "Google's");
($r) = ask('o', '/gpt-4.1-mini', \@anthropic, [ [ json => '{"id":"gpt-4.1-mini","object":"model","created":1744317547,"owned_by":"system"}' ] ]);
is($r->json->{type} . ' ' . $r->json->{created_at}, 'model 2025-04-10T20:39:07Z', 'one of them') or diag $r->body;
($r) = ask('o', '', \@anthropic, [ [ json => '{"object":"list","data":[]}' ] ]);
is_deeply($r->json, { data => [], has_more => JSON::PP::false(), first_id => undef, last_id => undef }, 'none');

# ---- our own ----------------------------------------------------------------------------

is_deeply([ map { "$_->{object} $_->{id} $_->{owned_by}" } @{ $gw->get('/v1/models')->json->{data} } ],
    [ 'model first llm-gateway', 'model second/one llm-gateway' ], "the gateway's, for OpenAI's clients");
$r = $gw->http(GET => '/v1/models', { @anthropic });
is_deeply([ map { "$_->{type} $_->{id} $_->{display_name}" } @{ $r->json->{data} } ], [ 'model first first', 'model second/one second/one' ], "... for Anthropic's");
is($r->json->{first_id} . ' ' . $r->json->{last_id}, 'first second/one', '... its ends');
like($r->json->{data}[0]{created_at}, qr/^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ\z/, '... its time');
is($gw->http(GET => '/v1/models/second/one', { @anthropic })->json->{id}, 'second/one', '... one of them');
$r = $gw->http(GET => '/v1/models/third', { @anthropic });
is($r->status . ' ' . $r->json->{type} . ' ' . $r->json->{error}{type}, '404 error not_found_error', '... an unknown one');
is($gw->http(GET => '/v1/models/third', {})->json->{error}{code}, 'model_not_found', "... as OpenAI says it");

# ---- failures ---------------------------------------------------------------------------

for my $who (qw(a g)) {
    for ([ 'HTML', [ [ header => 'Content-Type: text/html' ], [ body => '<p>' ] ] ], [ 'no list', [ [ json => '{"ok":true}' ] ] ],
         [ 'nothing', [ [ send => 'HTTP/1.1 204 No Content\r\n\r\n' ] ] ], [ 'events', [ [ event => '{"data":[]}' ], [ 'end' ] ] ], [ 'an error inside', [ [ json => '{"error":{"message":"x"}}' ] ] ])
    {
        ($r) = ask($who, '', [], $_->[1]);
        is($r->status . ' ' . $r->header('x-llm-error'), '502 provider_bad_answer', "$who: $_->[0]");
    }
}
($r) = ask('g', '', \@anthropic, [ [ 'http-file', fixture('gemini/error.429-minute.http') ] ]);
is($r->status . ' ' . $r->json->{type} . ' ' . $r->json->{error}{type}, '429 error rate_limit_error', "a refusal in Anthropic's form");
($r) = ask('g', '', [], [ [ 'http-file', fixture('gemini/error.429-minute.http') ] ]);
is($r->json->{error}{type}, 'rate_limit_error', "... in OpenAI's");
$r = $gw->http(GET => '/denied/v1/models', { @anthropic });
is($r->status . ' ' . ($r->json->{type} // ''), '403 error', "nginx's own pages as well");
$r = $gw->http(DELETE => '/a/v1/models/x', {});
is($r->status . ' ' . $r->header('x-llm-error'), '400 caller_unsupported', 'what is not read is not translated');
$up->reset;
$up->on('/*' => [ [ json => '{}' ] ]);
is($gw->http(HEAD => '/a/v1/models', {})->status, 200, 'HEAD');

my $many = to_json({ models => [ map { { name => "models/gemini-$_", displayName => "Number \"$_\" \x{e9}" } } 1 .. 3000 ] });
($r) = ask('g', '', \@anthropic, [ [ json => $many ] ]);
is(scalar @{ $r->json->{data} }, 3000, 'a long list');
is($r->json->{data}[-1]{display_name}, "Number \"3000\" \x{e9}", '... to its end');

finish();
