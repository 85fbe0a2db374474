# Answers that are larger than llm_max_answer_size: they pass as they come, and
# where they would have to be changed they are bad answers.

use lib 't/lib';
use Test::LLM;

my $up = Test::LLM::Upstream->new;
my $gw = Test::LLM::Gateway->new(vars => { UP => $up->port }, conf => <<'EOC')->start;
    llm_zone t:4m;
    log_format llm '$llm_attempts|$llm_status_class|$llm_error';
    access_log %%DIR%%/llm.log llm;
    llm_provider a { base_url http://127.0.0.1:%%UP%%/v1; breaker off; timeout idle=400ms; }
    llm_provider b { base_url http://127.0.0.1:%%UP%%/b/v1; breaker off; }
    llm_model ma { provider a; id m; }
    llm_model mb { provider b; id m; }
    llm_route resumes { target ma; target mb; resume on; }
    llm_max_answer_size 4k;
    llm_retry off;
    server {
        listen 127.0.0.1:%%PORT%%;
        location / { llm_pass a; }
        location /resumes/ { llm_pass resumes; }
        location /deadline/ { llm_retry off deadline=300ms; llm_pass resumes; }
    }
EOC

my $true = JSON::PP::true();
my $asked = 0;

sub logged {
    my @l;
    wait_for(sub { @l = split /\n/, $gw->access('llm.log'); @l >= $asked });
    return $l[-1];
}

# in two pieces, of which the first is too large already
sub large {
    my ($json, @then) = @_;
    my $body = to_json($json);
    my $head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: " . length($body) . "\r\n\r\n";
    return ($body, [ [ send => $head . substr $body, 0, 6000 ], [ pause => 50 ], @then ? @then : [ send => substr $body, 6000 ] ]);
}

sub ask {
    my ($path, %o) = @_;
    $asked++;
    return $gw->http(POST => $path, {}, to_json({ model => 'm', messages => [ { role => 'user', content => 'Hi' } ], input => 'x', max_tokens => 9, %o }));
}

my %json = (
    embeddings => { object => 'list', data => [ { object => 'embedding', index => 0, embedding => [ map { $_ / 1000 } 1 .. 2000 ] } ] },
    'chat/completions' => { choices => [ { index => 0, message => { role => 'assistant', content => 'x' x 9000 }, finish_reason => 'stop' } ] },
    responses => { object => 'response', status => 'completed', output => [], padding => 'x' x 9000 },
    rerank => { results => [], padding => 'x' x 9000 },
);

for my $name (sort keys %json) {
    my ($body, $script) = large($json{$name});
    $up->reset;
    $up->on('/*' => $script);
    my $r = ask("/v1/$name");
    is($r->status, 200, "$name: status");
    ok($r->body eq $body && $r->complete, '... the answer as it came') or diag length $r->body;
    is(logged(), '1|ok|-', '... in the log');
}

my ($body, $script) = large($json{'chat/completions'});
$up->reset;
$up->on('/*' => $script);
my $r = ask('/v1/messages');
is($r->status, 502, 'one that would have to be translated');
is(logged(), '1|bad_answer|provider_bad_answer', '... is a bad answer');

# who was asked for a stream, on a route where another one may go on with it

$r = ask('/resumes/v1/chat/completions', stream => $true);
is($r->status, 200, 'in place of a stream that may be resumed: status');
ok($r->body eq $body && $r->complete, '... the answer as it came') or diag length $r->body;
is(logged(), '1|ok|-', '... in the log');

for my $how ('rst', 'hang') {
    (undef, $script) = large($json{'chat/completions'}, [ $how ]);
    $up->reset;
    $up->on('/v1/*' => $script);
    $up->on('/b/*' => ok_chat('x'));
    $r = ask('/resumes/v1/chat/completions', stream => $true);
    ok($r->body eq substr($body, 0, 6000) && !$r->complete, "... that is cut ($how): what came, and no end") or diag $r->wire;
    is($up->count('/b/*'), 0, '... and nobody else is asked');
    is(logged(), '1|cut|provider_cut', '... in the log');
}

$r = ask('/deadline/v1/chat/completions', stream => $true);
ok($r->body eq substr($body, 0, 6000) && !$r->complete, '... whose deadline comes: what came, and no end') or diag $r->wire;
is($up->count('/b/*'), 0, '... and nobody else is asked');

finish();
