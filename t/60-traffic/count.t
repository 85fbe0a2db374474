# What a request proves about its variant: one outcome each, of the variant it
# was assigned to, whoever served it in the end.

use lib 't/lib';
use Test::LLM;

my $up = Test::LLM::Upstream->new;
my ($dead) = silent_port();
my $gw = Test::LLM::Gateway->new(vars => { UP => $up->port, DEAD => $dead }, env => { KEY_A => 'sk-alpha-00001' }, workers => 2, conf => <<'EOC');
    llm_zone t:48m;
    log_format llm '$http_x_n|$llm_variant|$llm_assigned_variant|$llm_status_class';
    access_log %%DIR%%/llm.log llm;
    llm_key_pool k { key env:KEY_A; cooldown off; }
    llm_provider blue  { dialect openai; base_url http://127.0.0.1:%%UP%%/blue/v1; breaker off; }
    llm_provider green { dialect openai; base_url http://127.0.0.1:%%UP%%/green/v1; keys k; breaker off; timeout header=300ms first=300ms idle=300ms; }
    llm_provider lazy  { dialect openai; base_url http://127.0.0.1:%%UP%%/green/v1; breaker off; }
    llm_provider deaf  { dialect openai; base_url http://127.0.0.1:%%DEAD%%/v1; breaker off; }
    llm_provider one   { dialect openai; base_url http://127.0.0.1:%%UP%%/green/v1; breaker off; inflight 1 queue=8 wait=8s; }
    llm_provider busy  { dialect openai; base_url http://127.0.0.1:%%UP%%/green/v1; breaker off; inflight 1; }
    llm_provider claude { dialect anthropic; base_url http://127.0.0.1:%%UP%%/green; breaker off; }
    llm_provider chatty { dialect openai; native off; base_url http://127.0.0.1:%%UP%%/green/v1; breaker off; }
    llm_model priced { provider green; id p; price input=1 output=2; }
    llm_model small  { provider green; id small; can chat; }
    llm_split able   { sticky $http_x_user; variant blue blue 50%; variant green small 50%; }
    llm_split s      { variant blue blue 0%; variant green priced 100%; force $http_x_variant allow=127.0.0.1; }
    llm_split fall   { variant blue blue 0%; variant green green 100%; fallback green blue; }
    llm_split shut   { variant blue blue 0%; variant green deaf 100%; }
    llm_split full   { variant blue blue 0%; variant green busy 100%; }
    llm_split slow   { variant blue blue 0%; variant green lazy 100%; }
    llm_split stuck  { variant blue blue 0%; variant green lazy 100%; }
    llm_split last   { variant blue blue 0%; variant green lazy 100%; }
    llm_split queued { variant blue blue 0%; variant green one 100%; }
    llm_split words  { variant blue blue 0%; variant green claude 100%; }
    llm_split chats  { variant blue blue 0%; variant green chatty 100%; }
    llm_prompt p { user "{text}"; answer json schema=file:s.json; set model m; }
    server {
        listen 127.0.0.1:%%PORT%%;
        llm_retry off;
        location /s/      { llm_pass s; }
        location /able/   { llm_pass able; }
        location /fall/   { llm_pass fall; }
        location /shut/   { llm_pass shut; }
        location /full/   { llm_pass full; }
        location /slow/   { llm_pass slow; llm_retry 2 backoff=1ms..5ms; }
        location /late/   { llm_pass slow; llm_retry 1 deadline=400ms; }
        location /stuck/  { llm_pass stuck; llm_retry 2 backoff=1ms..5ms; }
        location /last/   { llm_pass last; }
        location /queued/ { llm_pass queued; }
        location /words/  { llm_pass words; }
        location /chats/  { llm_pass chats; }
        location = /analyze { llm_analyze p; llm_pass s; }
        location /admin/  { llm_admin; }
    }
EOC
$gw->write('s.json', '{"type":"object","required":["a"],"properties":{"a":{"type":"integer"}}}');
$gw->start;

my $true = JSON::PP::true();
my $n = 0;
my %before;

sub view {
    my ($split, $variant) = @_;
    my ($v) = grep { $_->{name} eq $variant } @{ $gw->get("/admin/splits/$split")->json->{variants} };
    return { json_checked => $v->{json_checked}, json_invalid => $v->{json_invalid}, %{ $v->{totals} } };
}

# what changed of a variant since the last look, without what did not: "n=1 errors=1"
sub changed {
    my ($split, $variant) = @_;
    my $now = view($split, $variant);
    my $old = $before{"$split/$variant"} || {};
    my %d = map { ($_ => $now->{$_} - ($old->{$_} // 0)) } keys %$now;
    $before{"$split/$variant"} = $now;
    delete $d{cost};
    return join ' ', map { "$_=$d{$_}" } grep { $d{$_} } qw(n errors refused uncounted forced ineligible affine rescued json_checked json_invalid);
}

sub ask {
    my ($where, %o) = @_;
    return chat($gw, 'm', path => "/$where/v1/chat/completions", headers => { 'X-N' => ++$n, %{ delete $o{headers} || {} } }, %o);
}

# one request whose provider does this, and what it counts as
sub counts {
    my ($script, $expected, $name, %o) = @_;
    $up->on('/green/*' => $script);
    my $r = ask($o{where} // 's', %{ $o{ask} || {} });
    is(changed($o{where} // 's', 'green'), $expected, $name) or diag $r->status, ' ', $r->body;
    return $r;
}

$up->on('/blue/*' => ok_chat('blue'));
changed('s', 'green');
changed('fall', $_) for qw(blue green);

# ---- what is an error, what is not ------------------------------------------------------------

counts(ok_chat('fine'), 'n=1', 'an answer');
counts(ok_stream([ 'fi', 'ne' ]), 'n=1', 'a stream', ask => { stream => $true });
counts(reply($_, {}, '{"error":{"message":"no"}}'), 'n=1 errors=1', "status $_") for 500, 502, 503, 529;
counts(reply($_, {}, '{"error":{"message":"no"}}'), 'n=1 errors=1', "status $_ of the only key") for 401, 402, 429;
counts(reply(400, {}, '{"error":{"message":"no","type":"invalid_request_error"}}'), 'n=1 refused=1', 'status 400: the request itself');
counts(ok_chat(''), 'n=1 errors=1', 'an empty answer');
counts(reply(200, {}, '{"choices":'), 'n=1 errors=1', 'an answer that is no JSON');
counts(reply(200, {}, '{"error":{"message":"overloaded","type":"server_error"}}'), 'n=1 errors=1', 'an error in a 200');
counts([ [ 'rst' ] ], 'n=1 errors=1', 'a reset');
counts([ [ 'hang' ] ], 'n=1 errors=1', 'nothing, until the timeout', ask => { stream => $true });
counts(ok_stream([ 'fi', [ 'fin' ] ]), 'n=1 errors=1', 'a stream that is cut', ask => { stream => $true });
counts(event_script('{"error":{"message":"boom","type":"server_error"}}'), 'n=1 errors=1', 'an error event', ask => { stream => $true });
counts(ok_stream([ 'fi', [ event => '{"error":{"message":"boom","type":"server_error"}}' ] ]), 'n=1 errors=1', '... in the middle', ask => { stream => $true });
ask('shut');
is(changed('shut', 'green'), 'n=1 errors=1', 'nobody listens');

$up->on('/green/*' => ok_chat('fine'));
ask('s', headers => { 'X-Variant' => 'green' });
is(changed('s', 'green'), 'forced=1', 'a variant chosen by hand');
is($gw->http(POST => '/s/v1/chat/completions', {}, '{"model":')->status, 400, 'what we refuse ourselves');
is(changed('s', 'green'), '', '... counts nowhere');

$up->on('/green/*' => [ [ barrier => 'gone' ], @{ ok_chat('late') } ]);
my ($c) = start_all($gw, [ POST => '/slow/v1/chat/completions', {}, chat_body('m') ]);
run_all(10, $c, sub { $up->waiting('gone') == 1 });
$c->abort;
my $seen = '';
wait_for(sub { ($seen = changed('slow', 'green')) ne '' });
is($seen, 'uncounted=1', 'the client left');
$up->release('gone');

$up->on('/green/*' => [ [ 'hang' ] ]);
is(ask('late')->status, 504, 'past the deadline');
is(changed('slow', 'green'), 'n=1 errors=1', '... which the variant had to itself');

$up->on('/green/*' => [ [ barrier => 'busy' ], @{ ok_chat('late') } ]);
($c) = start_all($gw, [ POST => '/full/v1/chat/completions', {}, chat_body('m') ]);
run_all(10, $c, sub { $up->waiting('busy') == 1 });
is(ask('full')->status, 503, 'no room, and no queue');
is(changed('full', 'green'), 'n=1 errors=1', '... when it ends the request');
$up->release('busy');
run_all(10, $c);

# ---- what a variant cannot do proves nothing about any of them ------------------------------------

$up->on('/green/*' => ok_chat('fine'));
changed('able', $_) for qw(blue green);
ask('able', headers => { 'X-User' => "u$_" }, tools => [ { type => 'function', function => { name => 'f' } } ]) for 1 .. 12;
is(changed('able', 'blue'), 'ineligible=12', 'requests that only one variant can serve are not counted');
is(changed('able', 'green'), '', '... for the other one neither');

# ---- retries are the variant's own affair ------------------------------------------------------

$up->on('/green/*' => reply(500, {}, '{"error":{"message":"no"}}'), ok_chat('fine'));
is(ask('slow')->status, 200, 'an error, then an answer');
is(changed('slow', 'green'), 'n=1', '... is one answer');

# ---- JSON ----------------------------------------------------------------------------------------

my %json = (ask => { response_format => { type => 'json_object' } });
counts(ok_chat('{"a":1}'), 'n=1 json_checked=1', 'JSON, as asked for', %json);
counts(ok_chat('{"a":1'), 'n=1 json_checked=1 json_invalid=1', 'no JSON', %json);
counts(ok_chat('{"a":1', finish => 'length'), 'n=1', 'cut by its length: not looked at', %json);
counts(ok_chat('{"a":1'), 'n=1', 'JSON was not asked for');
counts(ok_chat('{"a":"' . 'x' x 40000 . '"}'), 'n=1 json_checked=1', 'much JSON', %json);
counts(ok_stream([ '{"a"' ]), 'n=1', 'streams are not looked at', ask => { stream => $true, response_format => { type => 'json_object' } });

# Messages and Responses, from providers that have them and from those that have not
sub message { [ [ json => to_json({ type => 'message', role => 'assistant', model => 'm', content => [ map { { type => 'text', text => $_ } } @_ ], stop_reason => 'end_turn',
    usage => { input_tokens => 1, output_tokens => 3 } }) ] ] }
sub response { [ [ json => to_json({ id => 'r', object => 'response', status => 'completed', model => 'm', output => [ map { { type => 'message', role => 'assistant',
    content => [ { type => 'output_text', text => $_ } ] } } @_ ], usage => { input_tokens => 1, output_tokens => 3 } }) ] ] }
my %messages = (path => 'messages', max_tokens => 9, messages => [ { role => 'user', content => 'Hi' } ], output_config => { format => { type => 'json_schema', schema => {} } });
my %responses = (path => 'responses', input => 'Hi', text => { format => { type => 'json_schema', name => 'x', schema => {} } });

for ([ 'Messages', 'words', \&message, \%messages ], [ 'Messages of a chat', 'chats', \&ok_chat, \%messages ],
     [ 'Responses', 's', \&response, \%responses ], [ 'Responses of a chat', 'chats', \&ok_chat, \%responses ])
{
    my ($name, $where, $says, $body) = @$_;
    my %body = (model => 'm', %$body);
    my $path = delete $body{path};

    for my $case ([ '{"a":1}', 'n=1 json_checked=1', 'JSON' ], [ '{"a":1', 'n=1 json_checked=1 json_invalid=1', 'no JSON' ], [ '', 'n=1 errors=1', 'an empty answer' ]) {
        $up->on('/green/*' => $says->($case->[0]));
        $gw->post("/$where/v1/$path", to_json(\%body));
        is(changed($where, 'green'), $case->[1], "$name: $case->[2]");
    }
}
$up->on('/green/*' => response());
$gw->post('/s/v1/responses', '{"model":"m","input":"Hi"}');
is(changed('s', 'green'), 'n=1 errors=1', 'Responses: no items at all');
$up->on('/green/*' => [ [ json => to_json({ id => 'r', status => 'completed', output => [ { type => 'message', content => [ { type => 'output_text', text => 'Wait.' } ] },
    { type => 'function_call', name => 'f', arguments => '{}' } ] }) ] ]);
$gw->post('/s/v1/responses', to_json({ model => 'm', %responses }));
is(changed('s', 'green'), 'n=1', 'Responses: what calls a tool has no content to look at');
$up->on('/green/*' => message('{"a":', '1}'));
$gw->post('/words/v1/messages', to_json({ model => 'm', max_tokens => 9, messages => $messages{messages}, output_config => $messages{output_config} }));
is(changed('words', 'green'), 'n=1', 'Messages: of several texts there is no one to look at');

sub analyze { $up->on('/green/*' => ok_chat($_[0])); return $gw->http(POST => '/analyze', { 'Content-Type' => 'application/json' }, '{"text":"x"}')->status }

is(analyze('{"a":1}'), 200, 'llm_analyze: JSON by the schema');
is(changed('s', 'green'), 'n=1 json_checked=1', '... is checked');
is(analyze('{"a":"one"}'), 502, 'against the schema');
is(changed('s', 'green'), 'n=1 errors=1 json_checked=1 json_invalid=1', '... is an error, as the client has no answer');
is(analyze('sorry'), 502, 'no JSON at all');
is(changed('s', 'green'), 'n=1 errors=1 json_checked=1 json_invalid=1', '... the same');
is(analyze(''), 502, 'nothing');
is(changed('s', 'green'), 'n=1 errors=1', '... is an error, but no JSON');

# ---- a fallback hides nothing ---------------------------------------------------------------------

$up->on('/green/*' => reply(500, {}, '{"error":{"message":"no"}}'));
my $r = ask('fall');
is($r->status, 200, 'another variant serves');
is(changed('fall', 'green'), 'n=1 errors=1 rescued=1', '... and the failure is counted where it was');
is(changed('fall', 'blue'), '', '... the success nowhere');
$up->on('/blue/*' => reply(500, {}, '{"error":{"message":"no"}}'));
is(ask('fall')->status, 502, 'both fail');
is(changed('fall', 'green'), 'n=1 errors=1', '... nobody was rescued');
is(changed('fall', 'blue'), '', '... and the second failure is nobody\'s');
$up->on('/blue/*' => ok_chat('blue'));

# ---- time and money -----------------------------------------------------------------------------

my ($v) = grep { $_->{name} eq 'green' } @{ $gw->get('/admin/splits/s')->json->{variants} };
cmp_ok($v->{cost}, '>', 0, 'what the answers cost');
cmp_ok($v->{input_tokens}, '>', 0, '... and used');
cmp_ok($v->{ttft_p95_ms}, '<', 300, 'the time to the first content of streams');

# ---- aborted meanwhile ---------------------------------------------------------------------------

sub abort {
    my ($split) = @_;
    return $gw->http(POST => "/admin/splits/$split/abort", { 'Content-Type' => 'application/json' }, '{"variant":"green"}')->status;
}

sub logged { my ($id) = @_; return (grep { /^\Q$id\E\|/ } split /\n/, $gw->access('llm.log'))[0] // '' }

$up->on('/green/*' => [ [ barrier => 'abort' ], @{ reply(500, {}, '{"error":{"message":"no"}}') } ]);
my @c = start_all($gw, map { [ POST => '/stuck/v1/chat/completions', { 'X-N' => "stuck$_" }, chat_body('m') ] } 1 .. 6);
run_all(10, @c, sub { $up->waiting('abort') == 6 });
$up->forget;
is(abort('stuck'), 200, 'aborted with six requests under way');
$up->release('abort');
run_all(10, @c);
is((grep { $_->status == 200 && $_->header('x-llm-variant') eq 'blue' } @c), 6, 'their next attempts go to the baseline');
is(scalar $up->received('/green/*'), 0, '... none to the variant that was aborted');
ok(wait_for(sub { logged('stuck6') }), 'logged');
is(logged('stuck1'), 'stuck1|blue|green|ok', '... with both names');
is(changed('stuck', 'green'), 'uncounted=6', '... and they count nowhere');
is(changed('stuck', 'blue'), '', '... at all');
is(ask('stuck')->header('x-llm-variant'), 'blue', 'nobody else goes there');

for my $status (500, 400) {
    my $barrier = "last$status";
    $up->on('/green/*' => [ [ barrier => $barrier ], @{ reply($status, {}, '{"error":{"message":"no","type":"invalid_request_error"}}') } ]);
    @c = start_all($gw, [ POST => '/last/v1/chat/completions', {}, chat_body('m') ]);
    run_all(10, @c, sub { $up->waiting($barrier) == 1 });
    abort('last');
    $up->release($barrier);
    run_all(10, @c);
    is($c[0]->status, $status == 500 ? 200 : 400, $status == 500 ? 'without retries: the baseline instead of an error'
        : '... not instead of a refusal of the request itself');
    $gw->http(PUT => '/admin/splits/last', { 'Content-Type' => 'application/json' },
        to_json({ version => $gw->get('/admin/splits/last')->json->{version}, weights => { blue => 0, green => 100 }, force => $true }));
}

$up->on('/green/*' => [ [ barrier => 'first' ], @{ ok_chat('fine') } ]);
@c = start_all($gw, [ POST => '/queued/v1/chat/completions', {}, chat_body('m') ]);
run_all(10, @c, sub { $up->waiting('first') == 1 });
push @c, start_all($gw, map { [ POST => '/queued/v1/chat/completions', { 'X-N' => "queued$_" }, chat_body('m') ] } 1 .. 3);
run_all(1, @c, sub { 0 });
is(abort('queued'), 200, 'aborted with three requests in a queue');
$up->release('first');
run_all(10, @c);
is($c[0]->header('x-llm-variant'), 'green', 'what was under way ends where it was');
is((grep { $_->status == 200 && $_->header('x-llm-variant') eq 'blue' } @c[1 .. 3]), 3, '... those in the queue go to the baseline');

$up->on('/green/*' => ok_chat('fine'));
$up->forget;
$gw->http(POST => '/admin/splits/s/abort', { 'Content-Type' => 'application/json' }, '{"variant":"green"}');
is(ask('s', headers => { 'X-Variant' => 'green' })->header('x-llm-variant'), 'blue', 'an aborted variant cannot be forced');

finish();
