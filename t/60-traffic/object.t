# Files, batches and stored responses: whoever made one is asked about it.

use lib 't/lib';
use Test::LLM;

my $up = Test::LLM::Upstream->new;
my %env = map { ("K$_\_KEY" => "sk-key-000$_-x") } 'a' .. 'd';
my $keys = join ' ', map { "key env:K$_\_KEY;" } 'a' .. 'd';
my $gw = Test::LLM::Gateway->new(vars => { UP => $up->port, KEYS => $keys }, env => \%env, workers => 2, conf => <<'EOC')->start;
    llm_zone t:24m;
    llm_key_pool k { select round_robin; %%KEYS%% }
    llm_provider blue  { dialect openai; base_url http://127.0.0.1:%%UP%%/blue/v1; keys k; breaker off; }
    llm_provider green { dialect openai; base_url http://127.0.0.1:%%UP%%/green/v1; breaker off; }
    llm_model m-blue  { provider blue; id m; }
    llm_model m-green { provider green; id m; }
    llm_route both { target m-green; target m-blue; }
    llm_split s { variant blue blue 50%; variant green green 50%; }
    server {
        listen 127.0.0.1:%%PORT%%;
        llm_retry 2 backoff=1ms..5ms;
        location /one/  { llm_pass blue; }
        location /both/ { llm_pass both; }
        location /s/    { llm_pass s; }
        location /admin/ { llm_admin; }
    }
EOC

my $count = 0;


sub letter { my ($q) = @_; my ($l) = ($q->{key} // '-') =~ /000(\w)/; return $l // '-' }

sub upload {
    my ($where) = @_;
    my $form = join "\r\n", '--xx', 'Content-Disposition: form-data; name="purpose"', '', 'batch',
        '--xx', 'Content-Disposition: form-data; name="file"; filename="a.jsonl"', '', '{"custom_id":"1"}', '--xx--', '';
    return $gw->http(POST => "/$where/v1/files", { 'Content-Type' => 'multipart/form-data; boundary=xx' }, $form);
}

sub post { my ($path, %members) = @_; return $gw->http(POST => $path, {}, to_json({ model => 'm', %members })) }
sub last_of { my ($path) = @_; my @q = $up->received($path); return $q[-1] }

sub setup {
    $up->reset;
    for my $side (qw(blue green)) {
        $up->on("/$side/v1/files*" => map { reply(200, {}, to_json({ id => "file-$side-" . ++$count, object => 'file' })) } 1 .. 40);
        $up->on("/$side/v1/batches*" => map { reply(200, {}, to_json({ id => "batch-$side-" . ++$count, object => 'batch', output_file_id => "file-out-$side-" . $count })) } 1 .. 40);
        $up->on("/$side/v1/responses*" => map { reply(200, {}, to_json({ id => "resp-$side-" . ++$count, object => 'response', status => 'completed',
            output => [ { type => 'message', content => [ { type => 'output_text', text => 'hi' } ] } ] })) } 1 .. 40);
    }
}

# ---- the key that made it -------------------------------------------------------------------

setup();
my %made;
for (1 .. 8) {
    my $r = upload('one');
    my $q = last_of('/blue/v1/files');
    $made{ $r->json->{id} } = letter($q);
}
is(join('', sort values %made), 'aabbccdd', 'files are made with all keys');
for my $id (sort keys %made) {
    my $r = $gw->get("/one/v1/files/$id/content");
    is(letter(last_of("/blue/v1/files/$id/content")), $made{$id}, "$id is read with the key that made it");
}
my ($id) = sort keys %made;
$gw->http(DELETE => "/one/v1/files/$id");
is(letter(last_of("/blue/v1/files/$id")), $made{$id}, 'and deleted with it');

my $r = post('/one/v1/batches', input_file_id => $id, endpoint => '/v1/chat/completions', completion_window => '24h');
is(letter(last_of('/blue/v1/batches')), $made{$id}, 'a batch of it is made with the same key');
my $batch = $r->json->{id};
for (1 .. 3) {
    $gw->get("/one/v1/batches/$batch");
    is(letter(last_of("/blue/v1/batches/$batch")), $made{$id}, '... and asked for with it');
}
my $out = $r->json->{output_file_id};
$gw->get("/one/v1/files/$out/content") for 1 .. 2;
is(letter(last_of("/blue/v1/files/$out/content")), $made{$id}, '... and so is what it made');

$r = post('/one/v1/responses', input => 'hello');
my $key = letter(last_of('/blue/v1/responses'));
for (1 .. 3) {
    $r = post('/one/v1/responses', input => 'go on', previous_response_id => $r->json->{id});
    is(letter(last_of('/blue/v1/responses')), $key, 'a conversation stays with its key');
}
my @lost = map { +{ type => 'input_file', file_id => "file-unknown-$_" } } 1 .. 20;
post('/one/v1/responses', input => [ { role => 'user', content => [ @lost[0 .. 9], { type => 'input_file', file_id => $id } ] } ]);
is(letter(last_of('/blue/v1/responses')), $made{$id}, 'the first file that is known decides');
post('/one/v1/responses', input => [ { role => 'user', content => [ { type => 'input_file', file_id => $id }, { type => 'input_text', text => 'x' } ] } ]) for 1 .. 2;
is(letter(last_of('/blue/v1/responses')), $made{$id}, 'an input with a file goes where the file is');
$gw->reload;
$gw->get("/one/v1/files/$id") for 1 .. 3;
is(letter(last_of("/blue/v1/files/$id")), $made{$id}, 'a reload forgets none of it');

$up->on({ path => '/blue/v1/files*', key => "sk-key-000$made{$id}-x" } => reply(401, {}, '{"error":{"message":"bad key","code":"invalid_api_key"}}'));
$r = $gw->get("/one/v1/files/$id");
is($r->status, 200, 'a key that is refused: the pool goes on');
isnt(letter(last_of("/blue/v1/files/$id")), $made{$id}, '... with another one');

# ---- a stream names it first ------------------------------------------------------------------

setup();
$up->on('/blue/v1/responses' => event_script(
    '{"type":"response.created","response":{"id":"resp-streamed","status":"in_progress"}}',
    '{"type":"response.output_text.delta","delta":"hi"}',
    '{"type":"response.completed","response":{"id":"resp-streamed","status":"completed","usage":{"input_tokens":1,"output_tokens":1}}}'));
$r = post('/one/v1/responses', input => 'hello', stream => JSON::PP::true());
is($r->status, 200, 'a response that is streamed');
$key = letter(last_of('/blue/v1/responses'));
for (1 .. 3) {
    $gw->get('/one/v1/responses/resp-streamed');
    is(letter(last_of('/blue/v1/responses/resp-streamed')), $key, '... is found again');
}

# ---- the target, the variant ------------------------------------------------------------------

setup();
$up->on('/green/v1/responses' => reply(500, {}, '{"error":{"message":"down"}}'));
$r = post('/both/v1/responses', input => 'hello');
is($r->status, 200, 'made by the fallback of a route');
my $held = $r->json->{id};
setup();
post('/both/v1/responses', input => 'go on', previous_response_id => $held);
is(scalar $up->received('/green/*'), 0, '... which is asked first from then on');
is(scalar $up->received('/blue/*'), 1, '... and nobody else');

my %side;
for (1 .. 24) {
    $r = upload('s');
    $side{ $r->json->{id} } = $r->header('x-llm-variant');
}
is(join(' ', sort keys %{ { reverse %side } }), 'blue green', 'files of both variants');
my @wrong = grep { $gw->get("/s/v1/files/$_")->header('x-llm-variant') ne $side{$_} } sort keys %side;
is("@wrong", '', '... each is asked for in its own');

$r = $gw->get('/s/v1/files/file-nobody-knows');
is($r->status, 200, 'an id that nobody knows goes by the split');
my $stray = $r->header('x-llm-variant') eq 'green' ? 1 : 0;

# ---- rolled back, and still the only one who has it -------------------------------------------

is($gw->http(POST => '/admin/splits/s/abort', { 'Content-Type' => 'application/json' }, '{"variant":"green"}')->status, 200, 'green is aborted');
my ($old) = grep { $side{$_} eq 'green' } sort keys %side;
$r = $gw->get("/s/v1/files/$old");
is($r->header('x-llm-variant'), 'green', 'what it holds is asked of it');
like($gw->log, qr/\[warn\].*variant "green" was rolled back and is asked for an object/, '... which the log says');
is((grep { upload('s')->header('x-llm-variant') ne 'blue' } 1 .. 12), 0, 'nothing new goes there');
my ($green) = grep { $_->{name} eq 'green' } @{ $gw->get('/admin/splits/s')->json->{variants} };
cmp_ok($green->{totals}{affine}, '>', 1, 'requests for objects are counted apart');
is($green->{totals}{n}, $stray + grep({ $_ eq 'green' } values %side), '... from those that made them');

finish();
