# A variant can serve a request when one target is both able to and switched on:
# neither half of it is enough.

use lib 't/lib';
use Test::LLM;

my $up = Test::LLM::Upstream->new;
my $gw = Test::LLM::Gateway->new(vars => { UP => $up->port }, conf => <<'EOC')->start;
    llm_zone t:16m;
    llm_provider up { dialect openai; base_url http://127.0.0.1:%%UP%%/v1; breaker off; }
    llm_model sees  { provider up; id sees;  can chat vision; }
    llm_model reads { provider up; id reads; can chat; }
    llm_model other { provider up; id other; can chat vision; }
    llm_route both { target sees; target reads; }
    llm_split s { force $http_x_variant allow=127.0.0.1;
                  variant one both 100%; variant two other 0%; }
    server {
        listen 127.0.0.1:%%PORT%%;
        location /v1/ { llm_pass s; }
        location /admin/ { llm_admin; }
    }
EOC

$up->on('/*' => map { ok_chat('x') } 1 .. 20);

my $chat = '/v1/chat/completions';
my $picture = [ { role => 'user', content => [ { type => 'image_url', image_url => { url => 'data:image/png;base64,AAAA' } } ] } ];

sub served {
    my $r = $gw->http(POST => $chat, {}, chat_body('m', @_));
    return join '|', $r->status, $r->header('x-llm-variant') // '', $r->header('x-llm-model') // '';
}

is(served(messages => $picture), '200|one|sees', 'a picture goes to who sees');
is($gw->http(PUT => '/admin/models/sees', { 'Content-Type' => 'application/json' }, '{"enabled":false}')->status, 200, 'who is switched off');
is(served(messages => $picture), '200|two|other', '... then to another variant');
is(served(), '200|one|reads', 'a text stays');

finish();
